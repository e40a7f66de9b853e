import { ApiError } from '../errors.ts'
import type { RateLimiter } from '../limits/rate-limiter.ts'
import type { Call } from './environment.ts'
import { tellHeader } from './headers.ts'

/**
 * Each key's requests a minute (contract, Rate limits); tells in headers where it stands.
 *
 * @throws {ApiError} 429.
 */
export function rateLimit(limiter: RateLimiter, call: Call): void {
  const { keyId, rpm } = call.principal
  const { isAllowed, limit, remaining, resetMs } = limiter.ask(keyId, rpm)
  const seconds = Math.ceil(resetMs / 1000)
  tellHeader(call, 'ratelimit-limit', String(limit))
  tellHeader(call, 'ratelimit-remaining', String(remaining))
  tellHeader(call, 'ratelimit-reset', String(seconds))
  if (isAllowed) return
  const message = `Too many requests: this key may make ${limit} a minute. Retry after ${seconds} seconds.`
  throw new ApiError('rate_limited', message, { details: { retryAfter: seconds } })
}
