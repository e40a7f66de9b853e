import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors.ts'
import type { Environment } from './environment.ts'
import { tellHeader } from './headers.ts'

/** A server that is closing still reads, and begins nothing: what it began would be killed. */
export function refuseWhileClosing(isClosing: () => boolean): MiddlewareHandler<Environment> {
  return async (c, next) => {
    if (!isClosing()) return await next()
    tellHeader(c, 'connection', 'close')
    throw new ApiError('provider_error', 'The server is shutting down and begins nothing new; try again soon.')
  }
}
