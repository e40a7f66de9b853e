import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors.ts'
import type { RateLimiter } from '../limits/rate-limiter.ts'
import type { Environment } from './environment.ts'

/** Each key's requests a minute (contract, Rate limits); tells in headers where it stands. */
export function rateLimit(limiter: RateLimiter): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const { keyId, rpm } = c.var.principal
    const { isAllowed, limit, remaining, resetMs } = limiter.ask(keyId, rpm)
    const seconds = Math.ceil(resetMs / 1000)
    c.header('ratelimit-limit', String(limit))
    c.header('ratelimit-remaining', String(remaining))
    c.header('ratelimit-reset', String(seconds))
    if (isAllowed) return await next()
    c.header('retry-after', String(seconds))
    const message = `Too many requests: this key may make ${limit} a minute. Retry after ${seconds} seconds.`
    throw new ApiError('rate_limited', message, { details: { retryAfter: seconds } })
  }
}
