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
export type LocalErrorCode =
  | 'client_timeout'
  | 'connection_error'
  | 'invalid_response'
  | 'not_supported'
  | 'stream_error'
  | 'configuration_error'
  | FileErrorCode

/** What went wrong with a file of a sandbox. */
export type FileErrorCode =
  | 'file_not_found'
  | 'file_exists'
  | 'file_is_a_directory'
  | 'file_not_a_directory'
  | 'file_permission_denied'
  | 'file_too_large'
  | 'file_changed'
  | 'file_invalid_path'
  | 'file_error'

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

const retryableCodes: ReadonlySet<string> = new Set([
  'connection_error',
  'client_timeout',
  'rate_limited',
  'internal_error',
  'provider_error',
])

/** A class of this package, and what its instances are. */
interface ErrorClass<Instance> {
  readonly prototype: Instance
  readonly className: string
}

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
  /** What {@link TheazoError.isInstance} goes by; a bundler may rename the class itself. */
  static readonly className: string = 'TheazoError'
  override readonly name: string
  readonly code: TheazoErrorCode | (string & {})
  readonly status?: number
  readonly requestId?: string
  readonly details?: Record<string, unknown>
  readonly retryAfterMs?: number

  constructor(message: string, options: TheazoErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.className
    const names: string[] = []
    // The base class ends the walk: nothing above it has a className.
    for (let c = new.target as unknown as typeof TheazoError; c.className; c = Object.getPrototypeOf(c)) {
      names.push(c.className)
    }
    // Not enumerable, so that no inspector shows it.
    Object.defineProperty(this, brand, { value: names })
    const { code, status, requestId, details, retryAfterMs } = options
    this.code = code
    // What is not known is not there: an inspector shows no undefined.
    if (status !== undefined) this.status = status
    if (requestId !== undefined) this.requestId = requestId
    if (details !== undefined) this.details = details
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs
  }

  /** True where the same call may succeed later: rate limits, faults of the server or its provider, lost connections. */
  get isRetryable(): boolean {
    const { status = 0, code } = this
    // By its code too: what comes over a stream has no status.
    return [429, 500, 502, 503].includes(status) || (status === 0 && retryableCodes.has(code))
  }

  /** What is safe to log: never the key, a header or a body. */
  toJSON(): Record<string, unknown> {
    const { name, message, code, status, requestId, details, retryAfterMs, isRetryable } = this
    return { name, message, code, status, requestId, details, retryAfterMs, isRetryable }
  }

  /** `instanceof` that also holds across two installed copies of this package; on a subclass too. */
  static isInstance<Instance>(this: ErrorClass<Instance>, value: unknown): value is Instance {
    if (typeof value !== 'object' || value === null || !(brand in value)) return false
    const names = value[brand]
    return Array.isArray(names) && names.includes(this.className)
  }
}

/** 401: the API key is missing or wrong. */
export class UnauthorizedError extends TheazoError {
  static override readonly className = 'UnauthorizedError'
  declare readonly name: 'UnauthorizedError'
}

/** 403: the key is valid but lacks permission for this action. */
export class ForbiddenError extends TheazoError {
  static override readonly className = 'ForbiddenError'
  declare readonly name: 'ForbiddenError'
}

/** 404: no such session, agent, task or route. */
export class NotFoundError extends TheazoError {
  static override readonly className = 'NotFoundError'
  declare readonly name: 'NotFoundError'
}

/** 409: the call conflicts with the present state, e.g. exec on a terminated agent. */
export class ConflictError extends TheazoError {
  static override readonly className = 'ConflictError'
  declare readonly name: 'ConflictError'
}

/** 422: the request did not validate; {@link UnprocessableEntityError.fields} says where. */
export class UnprocessableEntityError extends TheazoError {
  static override readonly className = 'UnprocessableEntityError'
  declare readonly name: 'UnprocessableEntityError'

  /** Messages by field path; empty where the server named none. */
  get fields(): Record<string, string[]> {
    const fields = this.details?.['fields']
    // The envelope's shape for 422 (contract, Basics); a server that sends something else gives no fields.
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, string[]>) : {}
  }
}

/** 429: too many requests with this key; wait `retryAfterMs`. */
export class RateLimitedError extends TheazoError {
  static override readonly className = 'RateLimitedError'
  declare readonly name: 'RateLimitedError'
}

/** 402: a limit of the session is reached: cost, agents or compute minutes. */
export class SessionLimitExceededError extends TheazoError {
  static override readonly className = 'SessionLimitExceededError'
  declare readonly name: 'SessionLimitExceededError'
}

/** 502: the compute behind the server failed, e.g. a sandbox did not start. */
export class ProviderError extends TheazoError {
  static override readonly className = 'ProviderError'
  declare readonly name: 'ProviderError'
}

/** 500: a fault of the server; give its `requestId` to the operator. */
export class InternalError extends TheazoError {
  static override readonly className = 'InternalError'
  declare readonly name: 'InternalError'
}

/** No complete answer in time: by this client's deadline (`client_timeout`), or, as the subclass, by the server's. */
export class TimeoutError extends TheazoError {
  static override readonly className: string = 'TimeoutError'
  declare readonly name: 'TimeoutError' | 'ServerTimeoutError'
}

/** 504: the server stopped the work at its own limit (exec: 120 s). The sandbox is kept. */
export class ServerTimeoutError extends TimeoutError {
  static override readonly className = 'ServerTimeoutError'
  declare readonly name: 'ServerTimeoutError'
}

/** No answer: refused, reset, no such host, TLS failure. */
export class ConnectionError extends TheazoError {
  static override readonly className = 'ConnectionError'
  declare readonly name: 'ConnectionError'
}

/** An answer came but is not the API's: HTML of a proxy, an empty or a truncated body, a redirect. */
export class InvalidResponseError extends TheazoError {
  static override readonly className = 'InvalidResponseError'
  declare readonly name: 'InvalidResponseError'
}

/** An event stream could not be followed to its end, or one of its events could not be read. */
export class StreamError extends TheazoError {
  static override readonly className = 'StreamError'
  declare readonly name: 'StreamError'
}

/** The server lacks an extension of the API that the call needs; `details.feature` names it. */
export class NotSupportedError extends TheazoError {
  static override readonly className = 'NotSupportedError'
  declare readonly name: 'NotSupportedError'
}

/** A file of a sandbox could not be read or changed; `details.path` names it. */
export class FileError extends TheazoError {
  static override readonly className = 'FileError'
  declare readonly name: 'FileError'
}

/** The client was set up or called wrongly: no key, a base URL that is none. */
export class ConfigurationError extends TheazoError {
  static override readonly className = 'ConfigurationError'
  declare readonly name: 'ConfigurationError'
}

/** The one code of a {@link ConfigurationError}; the message names the option and the fix. */
export function configurationError(message: string): ConfigurationError {
  return new ConfigurationError(message, { code: 'configuration_error' })
}
