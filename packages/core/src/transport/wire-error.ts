import { requestIdOf } from './responses.ts'
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
} from '../errors.ts'
import { isRecord } from './is-record.ts'
import { redactedData } from './redaction.ts'
import type { WireErrorCode } from '../wire.ts'

type WireErrorClass = new (message: string, options: TheazoErrorOptions) => TheazoError

/** The status and the class of each documented code. The status is for responses without an envelope, e.g. of a proxy. */
const codes: Record<WireErrorCode, readonly [status: number, ErrorClass: WireErrorClass]> = {
  unauthorized: [401, UnauthorizedError],
  session_limit_exceeded: [402, SessionLimitExceededError],
  forbidden: [403, ForbiddenError],
  not_found: [404, NotFoundError],
  conflict: [409, ConflictError],
  unprocessable_entity: [422, UnprocessableEntityError],
  rate_limited: [429, RateLimitedError],
  internal_error: [500, InternalError],
  provider_error: [502, ProviderError],
  timeout: [504, ServerTimeoutError],
}

/** The typed error of an error response. */
export interface WireFault {
  error: TheazoError
  /** False if the body is not the API's own: a page of a proxy, an empty or cut body. */
  hasEnvelope: boolean
}

/** Turns a response that is not 2xx into its typed error. It never fails, whatever the body is. */
export function wireFault(response: Response, body: string, redact: (text: string) => string): WireFault {
  const envelope = redactedData(parseEnvelope(body), redact)
  const documented = Object.entries(codes).find(([, [status]]) => status === response.status)
  const code = envelope.code ?? documented?.[0] ?? `http_${response.status}`
  const message = envelope.message ?? `The server responded with ${response.status} and no error body of the API.`
  const error = errorOf(code, message, {
    status: response.status,
    requestId: (envelope.requestId ?? requestIdOf(response, redact)) || undefined,
    details: envelope.details,
    retryAfterMs: retryAfterMs(response.headers, envelope.details),
  })
  return { error, hasEnvelope: envelope.code !== undefined }
}

/** The typed error of a code. An unknown code becomes a plain {@link TheazoError} with that code. */
export function errorOf(code: string, message: string, options: Omit<TheazoErrorOptions, 'code'> = {}): TheazoError {
  const ErrorClass = Object.hasOwn(codes, code) ? codes[code as WireErrorCode][1] : TheazoError
  return new ErrorClass(message, { ...options, code })
}

/** Reads the header, which contains seconds or a date (RFC 9110, 10.2.3), else `details.retryAfter`. */
function retryAfterMs(headers: Headers, details: Record<string, unknown> | undefined): number | undefined {
  const header = headers.get('retry-after')?.trim()
  if (header && /^\d+$/.test(header)) return Number(header) * 1000
  // Relative to the server's clock if the response has a date: the clocks may differ.
  const now = Date.parse(headers.get('date') ?? '') || Date.now()
  // A date starts with the name of a day. Without this check, Date.parse accepts '1.5' as a date.
  const waitMs = /^[a-z]/i.test(header ?? '') ? Date.parse(header ?? '') - now : Number.NaN
  if (!Number.isNaN(waitMs)) return Math.max(0, waitMs)
  const seconds = details?.['retryAfter']
  return typeof seconds === 'number' && seconds >= 0 ? seconds * 1000 : undefined
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
