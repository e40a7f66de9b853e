/**
 * What comes back: reading an answer, and what is wrong with one that cannot be used.
 *
 * @module
 */
import { ConnectionError, InvalidResponseError } from '../errors.ts'
import { isRecord } from './is-record.ts'
import type { Attempt } from './attempt.ts'

/** What a message says of the call, and what it must not hold. */
type AnswerContext = Pick<Attempt, 'call' | 'redact'>

/** Marks what the platform threw while a body was read: without it a fault could not be told from a callback's error. */
export class BodyFault extends Error {}

/** Bytes of a body that is read: more than the largest result of an exec takes as JSON. */
const maxBodyBytes = 256 * 1024 * 1024

/** @throws {BodyFault} if the connection broke first; {@link InvalidResponseError} for a body without end. */
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

/** Says where it failed and why. */
export function connectionError({ call, redact }: AnswerContext, baseUrl: string, cause: unknown): ConnectionError {
  // fetch says only "fetch failed"; the reason (ECONNREFUSED, ENOTFOUND, …) is in its cause.
  let innermost = cause
  while (innermost instanceof Error && innermost.cause instanceof Error) innermost = innermost.cause
  const { message, code } = (innermost ?? {}) as { message?: string; code?: string }
  const said = message || code || String(innermost) // an AggregateError of many addresses has no message
  const reason = redact(said)
  const what = cause instanceof BodyFault ? 'lost the connection to' : 'did not reach'
  // A cause that quotes the key is not passed on.
  const shown = reason === said ? cause : undefined
  return new ConnectionError(`${call} ${what} ${baseUrl}: ${reason}`, { code: 'connection_error', cause: shown })
}

/** @throws {InvalidResponseError} where the body is no JSON object. */
export function parseJson<T>(response: Response, text: string, attempt: AnswerContext): T {
  try {
    // Outside data is trusted from here on: the contract is the server's to keep, and its own tests check it.
    const parsed: unknown = JSON.parse(text)
    if (isRecord(parsed)) return parsed as T
  } catch {
    // Not passed on: it quotes the body, which may hold anything.
  }
  const what = text === '' ? 'an empty body' : 'a body that is not a JSON object'
  throw invalidResponse(response, `${attempt.call} answered ${response.status} with ${what}.`, attempt)
}

/** An answer that is not what the API answers. */
export function invalidResponse(response: Response, message: string, { redact }: AnswerContext): InvalidResponseError {
  const requestId = requestIdOf(response, redact)
  return new InvalidResponseError(message, { code: 'invalid_response', status: response.status, requestId })
}

/** What the server calls the request, for its operator. */
export function requestIdOf({ headers }: Response, redact: AnswerContext['redact']): string | undefined {
  return redact(headers.get('x-request-id') ?? '') || undefined
}

/** Redirects are not followed. */
export function redirectError(response: Response, attempt: AnswerContext): InvalidResponseError {
  const location = response.headers.get('location') ?? ''
  // The host alone: a redirect's path or query may carry a token.
  const target = URL.canParse(location, response.url || undefined)
    ? new URL(location, response.url).origin
    : 'elsewhere'
  const message = `${attempt.call} was redirected to ${target}. That would carry the key along: set baseUrl to the API's own address.`
  return invalidResponse(response, message, attempt)
}

/** True for an answer that is an event stream. */
export function isEventStream(response: Response): boolean {
  return /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')
}
