import {
  ConflictError,
  ForbiddenError,
  InternalError,
  NotFoundError,
  ProviderError,
  RateLimitedError,
  ServerTimeoutError,
  SessionLimitExceededError,
  TheazoError,
  type TheazoErrorOptions,
  UnauthorizedError,
  UnprocessableEntityError,
} from './errors.ts'
import type { WireErrorCode } from './wire.ts'

type WireErrorClass = new (message: string, options: TheazoErrorOptions) => TheazoError

const classByCode: Record<WireErrorCode, WireErrorClass> = {
  unauthorized: UnauthorizedError,
  forbidden: ForbiddenError,
  not_found: NotFoundError,
  conflict: ConflictError,
  unprocessable_entity: UnprocessableEntityError,
  rate_limited: RateLimitedError,
  session_limit_exceeded: SessionLimitExceededError,
  provider_error: ProviderError,
  timeout: ServerTimeoutError,
  internal_error: InternalError,
}

/** The documented code of a status, for answers that carry no envelope (a proxy's page, an empty body). */
const codeByStatus: Record<number, WireErrorCode> = {
  401: 'unauthorized',
  402: 'session_limit_exceeded',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  422: 'unprocessable_entity',
  429: 'rate_limited',
  500: 'internal_error',
  502: 'provider_error',
  504: 'timeout',
}

/** Turns an answer that is not 2xx into its typed error; never fails, whatever the body holds. */
export function wireError(response: Response, body: string): TheazoError {
  const envelope = parseEnvelope(body)
  const code = envelope.code ?? codeByStatus[response.status] ?? `http_${response.status}`
  const ErrorClass = Object.hasOwn(classByCode, code) ? classByCode[code as WireErrorCode] : TheazoError
  const retryAfter = envelope.details?.['retryAfter']
  return new ErrorClass(envelope.message ?? `The server answered ${response.status} without the API's error format.`, {
    code,
    status: response.status,
    requestId: envelope.requestId ?? response.headers.get('x-request-id') ?? undefined,
    details: envelope.details,
    retryAfterMs: typeof retryAfter === 'number' ? retryAfter * 1000 : undefined,
  })
}

interface Envelope {
  code?: string
  message?: string
  requestId?: string
  details?: Record<string, unknown>
}

function parseEnvelope(body: string): Envelope {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return {}
  }
  const error = isRecord(parsed) ? parsed['error'] : undefined
  if (!isRecord(error)) return {}
  const { code, message, requestId, details } = error
  return {
    ...(typeof code === 'string' && { code }),
    ...(typeof message === 'string' && { message }),
    ...(typeof requestId === 'string' && { requestId }),
    ...(isRecord(details) && { details }),
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
