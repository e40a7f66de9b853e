import type { ErrorEnvelope } from '@theazo/core'
import { answerJson } from './answer.ts'
import { ApiError } from '../errors.ts'
import type { Call } from './environment.ts'
import { tellHeader } from './headers.ts'

/** The one place where an error becomes an answer (contract, Basics). */
export function answerError(error: unknown, request: Request, call: Call): Response {
  if (!(error instanceof ApiError) && request.signal.aborted) {
    // Nobody reads this; the status is the log's (nginx: client closed request).
    return new Response(null, { status: 499 })
  }
  const told = toldError(error, call)
  const retryAfter = told.details?.['retryAfter']
  // On test keys too, whose errors are made up: clients read the header (contract, Basics).
  if (told.code === 'rate_limited' && retryAfter !== undefined) tellHeader(call, 'retry-after', String(retryAfter))
  return answerJson(call, errorBody(told, call), told.status)
}

/** What a caller may know of an error. Faults are logged whole and told as 500 only. */
export function toldError(error: unknown, { log, requestId }: Call): ApiError {
  if (!(error instanceof ApiError)) {
    log.error({ requestId, err: error }, 'request failed')
    return new ApiError('internal_error', 'Unexpected server error. The request id helps the operator find it.')
  }
  // Not its details: they may hold the output of a caller's code.
  if (error.code === 'provider_error') log.error({ requestId, err: error.cause ?? error.message }, 'a sandbox failed')
  return error
}

/** The envelope. */
export function errorBody({ code, message, details }: ApiError, { requestId }: Call): ErrorEnvelope {
  return { error: { code, message, ...(details && { details }), requestId } }
}
