/**
 * Reads responses, and makes the errors for responses that cannot be used.
 *
 * @module
 */
import { ConnectionError, InvalidResponseError } from '../errors.ts'
import { isRecord } from './is-record.ts'
import type { Attempt } from './attempt.ts'

/** The parts of an attempt that its error messages need. */
type ResponseContext = Pick<Attempt, 'call' | 'redact'>

/** Wraps an error of the platform while a body is read. It distinguishes such errors from those of the caller's callbacks. */
export class BodyFault extends Error {}

/** The cap on the bytes of one body. The largest result of an exec is smaller as JSON. */
const maxBodyBytes = 256 * 1024 * 1024

/**
 * Reads a whole body as text.
 *
 * @throws {BodyFault} if the connection breaks; {@link InvalidResponseError} if the body is larger than the cap.
 */
export async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  const reader = response.body?.getReader()
  if (!reader) return ''
  let text = ''
  let sizeBytes = 0
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new BodyFault('the body broke off', { cause })
    })
    if (done) return text + decoder.decode()
    sizeBytes += value.length
    if (sizeBytes > maxBodyBytes) {
      await reader.cancel().catch(() => {})
      const message = `The server answered ${response.status} with a body of more than ${maxBodyBytes} bytes.`
      throw new InvalidResponseError(message, { code: 'invalid_response', status: response.status })
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** An error that names the call, the base URL and the reason. */
export function connectionError({ call, redact }: ResponseContext, baseUrl: string, cause: unknown): ConnectionError {
  // The message of fetch is only "fetch failed". The reason (ECONNREFUSED, ENOTFOUND, …) is in its cause.
  let innermost = cause
  while (innermost instanceof Error && innermost.cause instanceof Error) innermost = innermost.cause
  const { message, code } = (innermost ?? {}) as { message?: string; code?: string }
  const original = message || code || String(innermost) // the AggregateError of several addresses has no message
  const reason = redact(original)
  const what = cause instanceof BodyFault ? 'lost the connection to' : 'did not reach'
  // A cause that contains the API key is dropped.
  const safeCause = reason === original ? cause : undefined
  return new ConnectionError(`${call} ${what} ${baseUrl}: ${reason}`, { code: 'connection_error', cause: safeCause })
}

/** @throws {InvalidResponseError} if the body is not a JSON object. */
export function parseJson<T>(response: Response, text: string, attempt: ResponseContext): T {
  try {
    // From here on the data is trusted: the server must keep the contract, and its own tests check that.
    const parsed: unknown = JSON.parse(text)
    if (isRecord(parsed)) return parsed as T
  } catch {
    // Dropped: a SyntaxError quotes the body, which may contain secrets.
  }
  const what = text === '' ? 'an empty body' : 'a body that is not a JSON object'
  throw invalidResponse(response, `${attempt.call} answered ${response.status} with ${what}.`, attempt)
}

/** The error for a response that is not valid for the API. */
export function invalidResponse(
  response: Response,
  message: string,
  { redact }: ResponseContext,
): InvalidResponseError {
  const requestId = requestIdOf(response, redact)
  return new InvalidResponseError(message, { code: 'invalid_response', status: response.status, requestId })
}

/** The id that the server gave the request; its operator can find the request by it. */
export function requestIdOf({ headers }: Response, redact: ResponseContext['redact']): string | undefined {
  return redact(headers.get('x-request-id') ?? '') || undefined
}

/** The error for a redirect. Redirects are not followed: the API key would be sent to another address. */
export function redirectError(response: Response, attempt: ResponseContext): InvalidResponseError {
  const location = response.headers.get('location') ?? ''
  // Only the origin: the path or the query of a redirect may contain a token.
  const target = URL.canParse(location, response.url || undefined)
    ? new URL(location, response.url || undefined).origin
    : 'another address'
  const message = `${attempt.call} was redirected to ${target}. Redirects are not followed: set baseUrl to the API's own address.`
  return invalidResponse(response, message, attempt)
}

/** True if the response is an event stream. */
export function isEventStream(response: Response): boolean {
  return /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')
}
