import type { ErrorEnvelope } from '@theazo/core'
import { answerJson } from './answer.ts'
import { ApiError } from '../errors.ts'
import type { RequestContext } from './environment.ts'
import { setHeader } from './headers.ts'

/** The one place where an error becomes an answer (contract, Basics). */
export function answerError(error: unknown, request: Request, context: RequestContext): Response {
  if (!(error instanceof ApiError) && request.signal.aborted) {
    // Nobody reads this answer. The status is for the log (nginx: client closed request).
    return new Response(null, { status: 499 })
  }
  const visible = visibleError(error, context)
  const retryAfter = visible.details?.['retryAfter']
  // Also for the mocked errors of test keys: clients read the header (contract, Basics).
  if (visible.code === 'rate_limited' && retryAfter !== undefined) setHeader(context, 'retry-after', String(retryAfter))
  return answerJson(context, errorBody(visible, context), visible.status)
}

/** The error that the caller sees. Faults are logged in full and answered with a plain 500. */
export function visibleError(error: unknown, { log, requestId }: RequestContext): ApiError {
  if (!(error instanceof ApiError)) {
    log.error({ requestId, err: error }, 'request failed')
    return new ApiError('internal_error', 'Unexpected server error. The request id helps the operator find it.')
  }
  // Without its details: they may contain the output of a caller's code.
  if (error.code === 'provider_error') log.error({ requestId, err: error.cause ?? error.message }, 'a sandbox failed')
  return error
}

/** The error body. */
export function errorBody({ code, message, details }: ApiError, { requestId }: RequestContext): ErrorEnvelope {
  return { error: { code, message, ...(details && { details }), requestId } }
}
