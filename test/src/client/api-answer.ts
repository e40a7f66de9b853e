import type { ErrorEnvelope } from '@theazo/core'

/** What the API says to a request. */
export interface ApiAnswer {
  status: number
  body: unknown
}

/** An error as the API tells it. */
export function errorAnswer(
  status: number,
  code: string,
  message = `This is ${code}.`,
  details?: Record<string, unknown>,
): ApiAnswer {
  const body = { error: { code, message, ...(details && { details }), requestId: 'req_fault' } } satisfies ErrorEnvelope
  return { status, body }
}

/** 404. */
export function notFound(what: string): ApiAnswer {
  return errorAnswer(404, 'not_found', `There is no ${what}.`)
}
