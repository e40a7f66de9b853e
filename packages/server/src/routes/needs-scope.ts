import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors.ts'
import { covers, type Scope } from '../keys/scopes.ts'
import type { Environment } from './environment.ts'

/** Lets keys pass that have the scope. Every key may read. */
export function needs(scope: Exclude<Scope, 'read'>): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const { scopes } = c.get('principal')
    if (covers(scopes, scope)) return await next()
    const message = `The API key has the scopes ${scopes.join(', ')}; this needs ${scope}. Use a key that has it.`
    throw new ApiError('forbidden', message, { details: { scope } })
  }
}
