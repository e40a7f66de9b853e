import type { ErrorEnvelope } from '@theazo/core'
import type { Context, ErrorHandler } from 'hono'
import { answerJson } from './answer.ts'
import { ApiError } from '../errors.ts'
import type { Environment } from './environment.ts'

/** The one place where an error becomes an answer (contract, Basics). */
export const errorHandler: ErrorHandler<Environment> = (error, c) => {
  if (!(error instanceof ApiError) && c.req.raw.signal.aborted) {
    // Nobody reads this; the status is the log's (nginx: client closed request).
    return new Response(null, { status: 499 })
  }
  return answerError(c, toldError(c, error))
}

/** What a caller may know of an error. Faults are logged whole and told as 500 only. */
export function toldError(c: Context<Environment>, error: unknown): ApiError {
  const [log, requestId] = [c.get('log'), c.get('requestId')]
  if (!(error instanceof ApiError)) {
    log.error({ requestId, err: error }, 'request failed')
    return new ApiError('internal_error', 'Unexpected server error. The request id helps the operator find it.')
  }
  if (error.code === 'provider_error') log.error({ requestId, err: error }, 'a sandbox failed')
  return error
}

function answerError(c: Context<Environment>, error: ApiError): Response {
  return answerJson(c, errorBody(error, c.get('requestId')), error.status)
}

/** The envelope. */
export function errorBody({ code, message, details }: ApiError, requestId: string): ErrorEnvelope {
  return { error: { code, message, ...(details && { details }), requestId } }
}
