import { ApiError } from '../errors.ts'
import type { RateLimiter } from '../limits/rate-limiter.ts'
import type { RequestContext } from './environment.ts'
import { setHeader } from './headers.ts'

/**
 * Limits each key's requests per minute (contract, Rate limits) and reports the state in headers.
 *
 * @throws {ApiError} 429 over the limit.
 */
export function rateLimit(limiter: RateLimiter, context: RequestContext): void {
  const { keyId, rpm } = context.principal
  const { isAllowed, limit, remaining, resetMs } = limiter.ask(keyId, rpm)
  const seconds = Math.ceil(resetMs / 1000)
  setHeader(context, 'ratelimit-limit', String(limit))
  setHeader(context, 'ratelimit-remaining', String(remaining))
  setHeader(context, 'ratelimit-reset', String(seconds))
  if (isAllowed) return
  const message = `Too many requests: the limit of this key is ${limit} per minute. Retry after ${seconds} seconds.`
  throw new ApiError('rate_limited', message, { details: { retryAfter: seconds } })
}
