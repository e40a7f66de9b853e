/**
 * Every error that this package throws.
 *
 * All have one base class. Wire errors are error responses of the server. Local errors mean that no usable response came.
 * An abort is neither: the call rejects with the signal's own reason.
 *
 * @module
 */
import type { WireErrorCode } from './wire.ts'

/** Codes of errors that this client creates. */
export type LocalErrorCode =
  | 'client_timeout'
  | 'connection_error'
  | 'invalid_response'
  | 'not_supported'
  | 'stream_error'
  | 'configuration_error'
  | FileErrorCode

/** Codes of {@link FileError}. */
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

/** All codes that this package knows. A server may send other codes; they are passed on unchanged. */
export type TheazoErrorCode = WireErrorCode | LocalErrorCode

/** The properties of an error besides its message. */
export interface TheazoErrorOptions {
  code: TheazoErrorCode | (string & {})
  /** HTTP status, if a response came. */
  status?: number | undefined
  requestId?: string | undefined
  details?: Record<string, unknown> | undefined
  /** Milliseconds that the server asked the client to wait. */
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

/** An error class of this package, and the type of its instances. */
interface ErrorClass<Instance> {
  readonly prototype: Instance
  readonly className: string
}

/**
 * Base of all errors of this package.
 *
 * @example
 * ```ts
 * import { TheazoError } from '@theazo/core'
 *
 * try {
 *   await agent.exec('python', 'print(1)')
 * } catch (error) {
 *   if (!TheazoError.isInstance(error)) throw error
 *   console.error(error.code, error.message, error.requestId)
 * }
 * ```
 */
export class TheazoError extends Error {
  /** {@link TheazoError.isInstance} compares this name: a bundler may rename the class itself. */
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
    // The loop ends after TheazoError: its own base class has no className.
    for (let c = new.target as unknown as typeof TheazoError; c.className; c = Object.getPrototypeOf(c)) {
      names.push(c.className)
    }
    // Not enumerable: inspectors do not show it.
    Object.defineProperty(this, brand, { value: names })
    const { code, status, requestId, details, retryAfterMs } = options
    this.code = code
    // Absent properties are not set: inspectors would show them as undefined.
    if (status !== undefined) this.status = status
    if (requestId !== undefined) this.requestId = requestId
    if (details !== undefined) this.details = details
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs
  }

  /** True if the same call may succeed later: rate limits, faults of the server or its provider, lost connections. */
  get isRetryable(): boolean {
    const { status = 0, code } = this
    // An error from an event stream has a code but no status.
    return [429, 500, 502, 503].includes(status) || (status === 0 && retryableCodes.has(code))
  }

  /** The properties that are safe to log: never the API key, a header or a body. */
  toJSON(): Record<string, unknown> {
    const { name, message, code, status, requestId, details, retryAfterMs, isRetryable } = this
    return { name, message, code, status, requestId, details, retryAfterMs, isRetryable }
  }

  /**
   * Like `instanceof`, but it also works if the error is from another installed copy of this package. Every error class
   * has it.
   *
   * @example
   * ```ts
   * import { RateLimitedError } from '@theazo/core'
   *
   * await agent.exec('bash', 'make').catch((error: unknown) => {
   *   if (!RateLimitedError.isInstance(error)) throw error
   *   console.warn(`Try again in ${error.retryAfterMs} ms`)
   * })
   * ```
   */
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

/** 403: the API key is valid but does not have the permission for this call. */
export class ForbiddenError extends TheazoError {
  static override readonly className = 'ForbiddenError'
  declare readonly name: 'ForbiddenError'
}

/** 404: no such session, agent, task or route. */
export class NotFoundError extends TheazoError {
  static override readonly className = 'NotFoundError'
  declare readonly name: 'NotFoundError'
}

/** 409: the call conflicts with the current state, e.g. exec on a terminated agent. */
export class ConflictError extends TheazoError {
  static override readonly className = 'ConflictError'
  declare readonly name: 'ConflictError'
}

/** 422: the request is invalid; {@link UnprocessableEntityError.fields} names the invalid fields. */
export class UnprocessableEntityError extends TheazoError {
  static override readonly className = 'UnprocessableEntityError'
  declare readonly name: 'UnprocessableEntityError'

  /** Error messages by field path; empty if the server named no field. */
  get fields(): Record<string, string[]> {
    const fields = this.details?.['fields']
    // The error body of a 422 has this shape (contract, Basics).
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, string[]>) : {}
  }
}

/** 429: too many requests with this API key; wait `retryAfterMs` milliseconds. */
export class RateLimitedError extends TheazoError {
  static override readonly className = 'RateLimitedError'
  declare readonly name: 'RateLimitedError'
}

/** 402: the session has reached a limit of cost, agents or compute minutes. */
export class SessionLimitExceededError extends TheazoError {
  static override readonly className = 'SessionLimitExceededError'
  declare readonly name: 'SessionLimitExceededError'
}

/** 502: the compute behind the server failed, e.g. a sandbox did not start. */
export class ProviderError extends TheazoError {
  static override readonly className = 'ProviderError'
  declare readonly name: 'ProviderError'
}

/** 500: a fault of the server. Report its `requestId` to the operator. */
export class InternalError extends TheazoError {
  static override readonly className = 'InternalError'
  declare readonly name: 'InternalError'
}

/** The deadline passed: the client's (`client_timeout`), or the server's ({@link ServerTimeoutError}). */
export class TimeoutError extends TheazoError {
  static override readonly className: string = 'TimeoutError'
  declare readonly name: 'TimeoutError' | 'ServerTimeoutError'
}

/** 504: the server stopped the work at its own limit (exec: 120 s). The sandbox continues to exist. */
export class ServerTimeoutError extends TimeoutError {
  static override readonly className = 'ServerTimeoutError'
  declare readonly name: 'ServerTimeoutError'
}

/** No response: the connection was refused or reset, the host does not exist, or TLS failed. */
export class ConnectionError extends TheazoError {
  static override readonly className = 'ConnectionError'
  declare readonly name: 'ConnectionError'
}

/** A response came but is not valid for the API: HTML of a proxy, an empty or a truncated body, a redirect. */
export class InvalidResponseError extends TheazoError {
  static override readonly className = 'InvalidResponseError'
  declare readonly name: 'InvalidResponseError'
}

/** An event stream was lost before its end, or one of its events could not be read. */
export class StreamError extends TheazoError {
  static override readonly className = 'StreamError'
  declare readonly name: 'StreamError'
}

/** The server does not have an extension that the call needs; `details.feature` names it. */
export class NotSupportedError extends TheazoError {
  static override readonly className = 'NotSupportedError'
  declare readonly name: 'NotSupportedError'
}

/** A file of a sandbox could not be read or changed; `details.path` names it. */
export class FileError extends TheazoError {
  static override readonly className = 'FileError'
  declare readonly name: 'FileError'
}

/** An option or an argument is missing or invalid, e.g. the API key or the base URL. */
export class ConfigurationError extends TheazoError {
  static override readonly className = 'ConfigurationError'
  declare readonly name: 'ConfigurationError'
}

/**
 * Makes the error of an invalid option, for adapters.
 *
 * @param message names the option and the fix.
 * @example
 * ```ts
 * import { configurationError } from '@theazo/core/tools'
 *
 * const error = configurationError('userId must be a string that is not empty.')
 * ```
 */
export function configurationError(message: string): ConfigurationError {
  return new ConfigurationError(message, { code: 'configuration_error' })
}
