import type { EgressRoute } from '../../compute/local/egress/connect.ts'
import { EgressRefusal } from '../../compute/local/egress/refusal.ts'
import { ApiError } from '../../errors.ts'
import { type WebRequest, webUrl } from './request-input.ts'
import { timeoutSeconds } from './request-limits.ts'
import { sendRequest, type WebResponse } from './send-request.ts'

/** Redirects that one call follows. */
export const maxRedirects = 5

/** Options of {@link sendWithRedirects}. */
export interface SendOptions {
  route: Omit<EgressRoute, 'connectTimeoutMs'>
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
}

/**
 * Sends a request and follows redirects. Each hop is checked anew.
 *
 * @throws {ApiError} if a hop is refused or fails; the reason of `signal`.
 */
export async function sendWithRedirects(
  first: WebRequest,
  { route, timeoutMs = timeoutSeconds * 1000, signal }: SendOptions,
): Promise<{ response: WebResponse; url: URL }> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const ended = signal ? AbortSignal.any([signal, timeout]) : timeout
  let request = first
  try {
    for (let count = 0; count <= maxRedirects; count += 1) {
      const response = await sendRequest(request, { ...route, connectTimeoutMs: timeoutMs }, ended)
      signal?.throwIfAborted() // a body whose end did not come is no error
      if (response.location === undefined) return { response, url: request.url }
      request = redirected(request, response.status, response.location)
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    const where = request === first ? '' : `after a redirect to ${request.url.href.slice(0, 300)}: `
    if (timeout.aborted) throw new ApiError('timeout', `${where}no answer came within ${timeoutMs / 1000} s.`)
    if (!(error instanceof EgressRefusal)) throw error
    const { outcome, message } = error
    const code = outcome === 'timeout' ? outcome : refusedOutcomes.has(outcome) ? 'forbidden' : 'provider_error'
    throw new ApiError(code, `${where}${message.replace(/^theazo: /, '')}.`)
  }
  throw new ApiError(
    'provider_error',
    `more than ${maxRedirects} redirects; the last one leads to ${request.url.href.slice(0, 300)}.`,
  )
}

const refusedOutcomes: ReadonlySet<string> = new Set(['not_allowed', 'not_public', 'invalid'])

/** Names of headers with credentials, which another origin must not get. */
const credentialHeaders = /auth|cookie|token|secret|key/

/** The next request (Fetch, HTTP-redirect fetch). @throws {EgressRefusal} for an address that cannot be requested. */
function redirected({ url, method, headers, body }: WebRequest, status: number, location: string): WebRequest {
  const next = redirectUrl(location, url)
  const isSameOrigin = next.origin === url.origin
  const dropsBody = (status === 303 && method !== 'HEAD') || ((status === 301 || status === 302) && method === 'POST')
  const kept = [...headers].filter(([name]) => {
    return (isSameOrigin || !credentialHeaders.test(name)) && !(dropsBody && name.startsWith('content-'))
  })
  return { url: next, method: dropsBody ? 'GET' : method, headers: new Map(kept), body: dropsBody ? undefined : body }
}

function redirectUrl(location: string, from: URL): URL {
  try {
    return webUrl(location, from)
  } catch {
    throw new EgressRefusal(
      'invalid',
      `${from.host} redirects to an address that is not possible: ${location.slice(0, 300)}`,
    )
  }
}
