import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors.ts'
import type { RateLimiter } from '../limits/rate-limiter.ts'
import type { Environment } from './environment.ts'
import { tellHeader } from './headers.ts'

/** Each key's requests a minute (contract, Rate limits); tells in headers where it stands. */
export function rateLimit(limiter: RateLimiter): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const { keyId, rpm } = c.get('principal')
    const { isAllowed, limit, remaining, resetMs } = limiter.ask(keyId, rpm)
    const seconds = Math.ceil(resetMs / 1000)
    tellHeader(c, 'ratelimit-limit', String(limit))
    tellHeader(c, 'ratelimit-remaining', String(remaining))
    tellHeader(c, 'ratelimit-reset', String(seconds))
    if (isAllowed) return await next()
    tellHeader(c, 'retry-after', String(seconds))
    const message = `Too many requests: this key may make ${limit} a minute. Retry after ${seconds} seconds.`
    throw new ApiError('rate_limited', message, { details: { retryAfter: seconds } })
  }
}
