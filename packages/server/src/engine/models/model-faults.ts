import { ApiError } from '../../errors.ts'
import { retryAfterMs } from '../retry-after.ts'

/** Wait before the first retry in milliseconds, doubled for each further one. */
const firstWaitMs = 1_000
/** The longest wait. If a provider asks for more, the task fails. */
const maxWaitMs = 120_000
/** Errors of the network and of streams that were cut, by their names or codes. */
const transientErrors =
  /IncompleteStreamError|InvalidResponseData|NoOutputGenerated|without a finish reason|terminated|ECONNRESET|ECONNREFUSED|ETIMEDOUT|EPIPE|EAI_AGAIN|UND_ERR|fetch failed|socket/

/** The fields of an error of a provider's package that matter here. */
interface ProviderFault {
  statusCode?: number
  isRetryable?: boolean
  responseHeaders?: Record<string, string>
  message?: string
  name?: string
  code?: string
  cause?: unknown
  type?: string
}

/** Milliseconds to wait before the next attempt; undefined if the step must not be tried again: the fault is permanent, or the provider asks for a wait over {@link maxWaitMs}. */
export function waitBeforeRetry(error: unknown, attempt: number): number | undefined {
  if (error instanceof ApiError || !isTransient(error)) return undefined
  const asked = askedWaitMs((error as ProviderFault).responseHeaders)
  if (asked !== undefined) return asked <= maxWaitMs ? asked : undefined
  return Math.min(firstWaitMs * 2 ** (attempt - 1), maxWaitMs)
}

/** The error that ends the task. It names the model and the provider's message, but no header, key or address. */
export function modelFault(error: unknown, modelId: string, apiKey?: string): ApiError {
  if (error instanceof ApiError) return error
  const { statusCode, message = '' } = asFault(error)
  const isRefused = statusCode !== undefined && statusCode >= 400
  const status = isRefused ? ` (HTTP ${statusCode})` : ''
  const start = `Model ${modelId} failed${status}`
  const text = !isRefused && isTransient(error) ? 'its provider cannot be reached, or its stream was cut' : message
  const detail = withoutSecrets(text, apiKey).trim().slice(0, maxMessageChars).replace(/\.$/, '')
  return new ApiError('provider_error', detail === '' ? `${start}.` : `${start}: ${detail}.`, { cause: error })
}

const maxMessageChars = 500

function isTransient(error: unknown): boolean {
  const { statusCode, isRetryable, name = '', message = '', code = '', cause, type = '' } = asFault(error)
  // A stream that began with status 200 and was cut still has that status.
  if (statusCode !== undefined) return statusCode < 400 || [408, 409, 429].includes(statusCode) || statusCode >= 500
  if (isRetryable === true || /overloaded|rate_limit|api_error|server_error/.test(`${type} ${message}`)) return true
  if (transientErrors.test(`${name} ${message} ${code}`)) return true
  return cause !== undefined && cause !== error && isTransient(cause)
}

function asFault(error: unknown): ProviderFault {
  return typeof error === 'object' && error !== null ? error : { message: String(error) }
}

/** `retry-after-ms`, or `Retry-After`. */
function askedWaitMs(headers: Record<string, string> = {}): number | undefined {
  const exact = Number.parseFloat(headers['retry-after-ms'] ?? '')
  if (exact >= 0) return exact
  return retryAfterMs(headers['retry-after'])
}

/** A provider may repeat a part of the key in its message. */
function withoutSecrets(text: string, apiKey: string | undefined): string {
  const own = apiKey ? text.replaceAll(apiKey, '[key]') : text
  return own
    .replaceAll(/\b(sk|key|AIza|th_live|xai|gsk)[-_]?[\w*.-]{6,}/gi, '[key]')
    .replaceAll(/https?:\/\/\S+/g, '[address]')
}
