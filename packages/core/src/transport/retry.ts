/**
 * The one retry policy: what may be sent again, and when.
 *
 * @module
 */
import { ConnectionError, RateLimitedError, TheazoError, TimeoutError } from '../errors.ts'

/** Why an attempt failed, as far as sending it again is concerned. */
export type RetryCause =
  /** No connection was made: refused, no such host, connect timeout. */
  | 'not_sent'
  /** The connection broke before the whole answer was there: the server may have done it. */
  | 'lost'
  /** 429: the server refused before doing anything. */
  | 'rate_limited'
  /** 502, 503, and what a gateway in between answers: the server may have done it. */
  | 'unavailable'
  /** 500: the server tried, and failed. */
  | 'internal'
  /** Any other answer, an untrusted certificate, an answer that is none. */
  | 'final'

/** What becomes of a request that is done twice. */
export type RepeatSafety =
  /** Nothing: GET, by-user and terminate. */
  | 'safe'
  /** The server does it once: a POST to a server that has shown `idempotency` (every POST carries a key). */
  | 'keyed'
  /** It may be done twice: any other POST, and PATCH. */
  | 'unsafe'

/** May an attempt be repeated? */
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
/** A server that asks for more is not waited for: the caller is told how long, and may come back. */
export const maxRetryAfterMs = 60_000

/** Full jitter: anything up to twice as much each time, so that clients which failed together do not return together. */
export function backoffMs(attempt: number, random: number, base: number = baseDelayMs): number {
  return random * Math.min(maxDelayMs, base * 2 ** attempt)
}

/** @param hasEnvelope whether an error answer was the API's own and not a gateway's. */
export function retryCause(error: TheazoError, hasEnvelope: boolean): RetryCause {
  if (ConnectionError.isInstance(error)) return connectionCause(error.cause)
  if (RateLimitedError.isInstance(error)) return 'rate_limited'
  const { status = 0 } = error
  if (status === 502 || status === 503 || (status === 504 && !hasEnvelope)) return 'unavailable'
  return status === 500 ? 'internal' : 'final'
}

// Node's and Bun's codes; a runtime that has none is taken to have reached the server.
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

/** True for what a later attempt may find mended. */
export function isPassing(error: unknown): error is TheazoError {
  if (!TheazoError.isInstance(error)) return false
  if (ConnectionError.isInstance(error) || RateLimitedError.isInstance(error)) return true
  return TimeoutError.isInstance(error) || (error.status ?? 0) >= 500
}
