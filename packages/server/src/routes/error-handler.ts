import type { ErrorEnvelope } from '@theazo/core'
import type { Context, ErrorHandler } from 'hono'
import { answerJson } from './answer.ts'
import { ApiError } from '../errors.ts'
import type { Environment } from './environment.ts'

/** The one place where an error becomes an answer (contract, Basics). Faults are logged whole and told as 500 only. */
export const errorHandler: ErrorHandler<Environment> = (error, c) => {
  if (error instanceof ApiError) {
    if (error.code === 'provider_error')
      c.get('log').error({ requestId: c.get('requestId'), err: error }, 'a sandbox failed')
    return answerError(c, error)
  }
  if (c.req.raw.signal.aborted) {
    // Nobody reads this; the status is the log's (nginx: client closed request).
    return new Response(null, { status: 499 })
  }
  c.get('log').error({ requestId: c.get('requestId'), err: error }, 'request failed')
  return answerError(
    c,
    new ApiError('internal_error', 'Unexpected server error. The request id helps the operator find it.'),
  )
}

function answerError(c: Context<Environment>, error: ApiError): Response {
  const body: ErrorEnvelope = {
    error: {
      code: error.code,
      message: error.message,
      ...(error.details && { details: error.details }),
      requestId: c.get('requestId'),
    },
  }
  return answerJson(c, body, error.status)
}
