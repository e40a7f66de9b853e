/**
 * The retry policy: which requests may be repeated, and when.
 *
 * @module
 */
import { ConnectionError, RateLimitedError, TheazoError, TimeoutError } from '../errors.ts'

/** Why an attempt failed, as far as the retry policy distinguishes. */
export type RetryCause =
  /** No connection was made: refused, no such host, connect timeout. */
  | 'not_sent'
  /** The connection broke before the response was complete. The server may have executed the request. */
  | 'lost'
  /** 429: the server refused the request before any work. */
  | 'rate_limited'
  /** 502, 503, and the 504 of a gateway. The server may have executed the request. */
  | 'unavailable'
  /** 500: the server executed the request and failed. */
  | 'internal'
  /** Any other response, an invalid response, or an untrusted certificate. */
  | 'final'

/** The effect of sending a request twice. */
export type RepeatSafety =
  /** None: GET, by-user and terminate. */
  | 'safe'
  /** The server executes it once: a POST to a server with the extension `idempotency` (every POST has a key). */
  | 'keyed'
  /** The server may execute it twice: any other POST, and PATCH. */
  | 'unsafe'

/** Whether an attempt may be repeated. */
export const retryMatrix: Record<RetryCause, Record<RepeatSafety, boolean>> = {
  not_sent: { safe: true, keyed: true, unsafe: true },
  rate_limited: { safe: true, keyed: true, unsafe: true },
  lost: { safe: true, keyed: true, unsafe: false },
  unavailable: { safe: true, keyed: true, unsafe: false },
  internal: { safe: true, keyed: false, unsafe: false },
  final: { safe: false, keyed: false, unsafe: false },
}

const baseDelayMs = 500
const maxDelayMs = 8000
/** If the server asks for a longer wait, the call rejects instead; `retryAfterMs` of its error has the duration. */
export const maxRetryAfterMs = 60_000

/** Full jitter: a random delay below a bound that doubles with each attempt, so that clients do not retry all together. */
export function backoffMs(attempt: number, random: number, base: number = baseDelayMs): number {
  return random * Math.min(maxDelayMs, base * 2 ** attempt)
}

/** @param hasEnvelope true if the body of the error response was the API's own, and not a gateway's. */
export function retryCause(error: TheazoError, hasEnvelope: boolean): RetryCause {
  if (ConnectionError.isInstance(error)) return connectionCause(error.cause)
  if (RateLimitedError.isInstance(error)) return 'rate_limited'
  const { status = 0 } = error
  if (status === 502 || status === 503 || (status === 504 && !hasEnvelope)) return 'unavailable'
  return status === 500 ? 'internal' : 'final'
}

// The error codes of Node and Bun. Without a code, the request is assumed to have reached the server.
const neverConnected =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ConnectionRefused|FailedToOpenSocket)$/
const untrusted = /CERT|TLS|SSL|SIGNATURE/

function connectionCause(cause: unknown): RetryCause {
  for (let error = cause; error instanceof Error; error = error.cause) {
    const code = String((error as { code?: unknown }).code ?? '')
    if (neverConnected.test(code)) return 'not_sent'
    if (untrusted.test(code)) return 'final'
  }
  return 'lost'
}

/** True for an error that may be gone at a later attempt. */
export function isTransient(error: unknown): error is TheazoError {
  if (!TheazoError.isInstance(error)) return false
  if (ConnectionError.isInstance(error) || RateLimitedError.isInstance(error)) return true
  return TimeoutError.isInstance(error) || (error.status ?? 0) >= 500
}
