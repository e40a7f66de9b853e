import type { ErrorEnvelope } from '@theazo/core'

/** A response of the API. */
export interface ApiAnswer {
  status: number
  body: unknown
}

/** An error response with the error envelope. */
export function errorAnswer(
  status: number,
  code: string,
  message = `This is ${code}.`,
  details?: Record<string, unknown>,
): ApiAnswer {
  const body = { error: { code, message, ...(details && { details }), requestId: 'req_fault' } } satisfies ErrorEnvelope
  return { status, body }
}

/** A 404 response. */
export function notFound(what: string): ApiAnswer {
  return errorAnswer(404, 'not_found', `There is no ${what}.`)
}
