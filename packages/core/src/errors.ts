/**
 * Every error this package throws.
 *
 * Two families on one base: wire errors (the server answered with an error) and local ones (no usable answer came).
 * An abort is not among them: it passes through as the signal's own reason.
 *
 * @module
 */
import type { WireErrorCode } from './wire.ts'

/** Codes of errors that arose on this side of the wire. */
export type LocalErrorCode = 'client_timeout' | 'connection_error' | 'invalid_response' | 'configuration_error'

/** All codes this package knows; an unknown one of a server is kept as it came. */
export type TheazoErrorCode = WireErrorCode | LocalErrorCode

/** What an error carries beside its message. */
export interface TheazoErrorOptions {
  code: TheazoErrorCode | (string & {})
  /** HTTP status, where an answer came. */
  status?: number | undefined
  requestId?: string | undefined
  details?: Record<string, unknown> | undefined
  /** Milliseconds the server asked to wait. */
  retryAfterMs?: number | undefined
  cause?: unknown
}

const brand = Symbol.for('@theazo/core/error')

/**
 * Base of all errors of this package.
 *
 * @example
 * ```ts
 * try {
 *   await agent.exec('python', 'print(1)')
 * } catch (error) {
 *   if (TheazoError.isInstance(error) && error.code === 'session_limit_exceeded') notifyOwner(error.message)
 *   else throw error
 * }
 * ```
 */
export class TheazoError extends Error {
  override readonly name: string = 'TheazoError'
  readonly code: TheazoErrorCode | (string & {})
  readonly status?: number
  readonly requestId?: string
  readonly details?: Record<string, unknown>
  readonly retryAfterMs?: number

  constructor(message: string, options: TheazoErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    // Not enumerable, so that no inspector shows it.
    Object.defineProperty(this, brand, { value: true })
    this.code = options.code
    if (options.status !== undefined) this.status = options.status
    if (options.requestId !== undefined) this.requestId = options.requestId
    if (options.details !== undefined) this.details = options.details
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
  }

  /** True where the same call may succeed later: rate limits, faults of the server or its provider, lost connections. */
  get isRetryable(): boolean {
    if (this.status === undefined) return this.code === 'connection_error' || this.code === 'client_timeout'
    return this.status === 429 || this.status === 502 || this.status === 503 || this.status === 500
  }

  /** What is safe to log: never the key, a header or a body. */
  toJSON(): Record<string, unknown> {
    const { name, message, code, status, requestId, details, retryAfterMs, isRetryable } = this
    return { name, message, code, status, requestId, details, retryAfterMs, isRetryable }
  }

  /** `instanceof` that also holds across two installed copies of this package. */
  static isInstance(value: unknown): value is TheazoError {
    return typeof value === 'object' && value !== null && brand in value
  }
}

/** 401: the API key is missing or wrong. */
export class UnauthorizedError extends TheazoError {
  override readonly name = 'UnauthorizedError'
}

/** 403: the key is valid but lacks permission for this action. */
export class ForbiddenError extends TheazoError {
  override readonly name = 'ForbiddenError'
}

/** 404: no such session, agent, task or route. */
export class NotFoundError extends TheazoError {
  override readonly name = 'NotFoundError'
}

/** 409: the call conflicts with the present state, e.g. exec on a terminated agent. */
export class ConflictError extends TheazoError {
  override readonly name = 'ConflictError'
}

/** 422: the request did not validate; {@link UnprocessableEntityError.fields} says where. */
export class UnprocessableEntityError extends TheazoError {
  override readonly name = 'UnprocessableEntityError'

  /** Messages by field path; empty where the server named none. */
  get fields(): Record<string, string[]> {
    const fields = this.details?.['fields']
    // The envelope's shape for 422 (contract, Basics); a server that sends something else gives no fields.
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, string[]>) : {}
  }
}

/** 429: too many requests with this key; wait `retryAfterMs`. */
export class RateLimitedError extends TheazoError {
  override readonly name = 'RateLimitedError'
}

/** 402: a limit of the session is reached: cost, agents or compute minutes. */
export class SessionLimitExceededError extends TheazoError {
  override readonly name = 'SessionLimitExceededError'
}

/** 502: the compute behind the server failed, e.g. a sandbox did not start. */
export class ProviderError extends TheazoError {
  override readonly name = 'ProviderError'
}

/** 504: the server stopped the work at its own limit (exec: 120 s). The sandbox is kept. */
export class ServerTimeoutError extends TheazoError {
  override readonly name = 'ServerTimeoutError'
}

/** 500: a fault of the server; give its `requestId` to the operator. */
export class InternalError extends TheazoError {
  override readonly name = 'InternalError'
}

/** No complete answer within the deadline of the call (`timeoutMs`). */
export class TimeoutError extends TheazoError {
  override readonly name = 'TimeoutError'
}

/** No answer: refused, reset, no such host, TLS failure. */
export class ConnectionError extends TheazoError {
  override readonly name = 'ConnectionError'
}

/** An answer came but is not the API's: HTML of a proxy, an empty or a truncated body. */
export class InvalidResponseError extends TheazoError {
  override readonly name = 'InvalidResponseError'
}

/** The client was set up wrongly: no key, a base URL that is none. */
export class ConfigurationError extends TheazoError {
  override readonly name = 'ConfigurationError'
}
