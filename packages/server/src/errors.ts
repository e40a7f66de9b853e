/**
 * Every error that this package throws on purpose. Any other error is a fault and is answered with 500.
 *
 * @module
 */
import type { WireErrorCode } from '@theazo/core'

/** Base class of this package's errors. */
export class TheazoServerError extends Error {
  override readonly name: string = 'TheazoServerError'
}

const statusByCode = {
  unauthorized: 401,
  session_limit_exceeded: 402,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  unprocessable_entity: 422,
  rate_limited: 429,
  internal_error: 500,
  provider_error: 502,
  timeout: 504,
} as const satisfies Record<WireErrorCode, number>

/** True for a code that the API documents. */
export function isErrorCode(code: string): code is WireErrorCode {
  return Object.hasOwn(statusByCode, code)
}

type Status = (typeof statusByCode)[WireErrorCode] | 405

interface ApiErrorOptions {
  /** Default: the status of the code. A wrong method is `not_found` with 405. */
  status?: Status
  details?: Record<string, unknown>
  cause?: unknown
}

/** An error that is sent to the caller of the API (contract, Basics). */
export class ApiError extends TheazoServerError {
  override readonly name = 'ApiError'
  readonly code: WireErrorCode
  readonly status: Status
  readonly details?: Record<string, unknown>

  constructor(code: WireErrorCode, message: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = options.status ?? statusByCode[code]
    if (options.details) this.details = options.details
  }

  /** 422 with the messages of each invalid field. A message continues the field's name: `must be …`. */
  static invalid(fields: Record<string, string[]>): ApiError {
    const first = Object.entries(fields)[0]
    const message = first ? `${first[0]}: ${first[1][0]}` : 'The request is invalid.'
    return new ApiError('unprocessable_entity', message, { details: { fields } })
  }
}

/** The machine or its configuration is not sufficient. The message names the fix. Nothing was started. */
export class SetupError extends TheazoServerError {
  override readonly name = 'SetupError'
}

/** A sandbox did not start; the message is for the operator. */
export class SandboxStartError extends TheazoServerError {
  override readonly name = 'SandboxStartError'
}

/** True if the error interrupted the request: part of the work may be done, so it must not run again. */
export function isInterruption(error: unknown): boolean {
  if (error instanceof ClientGoneError) return true
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof SandboxEndedError || cause instanceof SandboxLostError
}

/** A sandbox failed while code ran in it; the message is for the operator. */
export class SandboxLostError extends TheazoServerError {
  override readonly name = 'SandboxLostError'
}

/** A sandbox was ended while code ran in it. */
export class SandboxEndedError extends TheazoServerError {
  override readonly name = 'SandboxEndedError'
}

/** The client closed its connection before the answer. */
export class ClientGoneError extends TheazoServerError {
  override readonly name = 'ClientGoneError'
}

/** The abort reason of a closed connection is a text; handlers expect an error. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new ClientGoneError(String(reason))
}

/** The error of a call that needs new work while the server shuts down. */
export function shuttingDown(): ApiError {
  return new ApiError('provider_error', 'The server is shutting down and accepts no new work. Try again later.')
}

/** Turns an error of a sandbox into a 502; returns any other error unchanged. */
export function asApiError(error: unknown): unknown {
  if (error instanceof SandboxStartError || error instanceof SandboxLostError)
    return new ApiError('provider_error', error.message, { cause: error })
  if (error instanceof SandboxEndedError) {
    return new ApiError('provider_error', 'The server was shut down while the code ran.', { cause: error })
  }
  return error
}
