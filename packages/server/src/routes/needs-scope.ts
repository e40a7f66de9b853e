import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors.ts'
import { covers, type Scope } from '../keys/scopes.ts'
import type { Environment } from './environment.ts'

/** Lets keys pass that have the request's scope, before its body or idempotency key is looked at (contract, order of checks). */
export function needsScope(): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const { scopes } = c.env.principal
    const scope = scopeOf(c.req.method, c.req.path)
    if (covers(scopes, scope)) return await next()
    const message = `The API key has the scopes ${scopes.join(', ')}; this needs ${scope}. Use a key that has it.`
    throw new ApiError('forbidden', message, { details: { scope } })
  }
}

/** The rule that `scopes` tells, for all but reads. A method that no route has is refused as such, whatever the scope. */
function scopeOf(method: string, path: string): Scope {
  if (method === 'PATCH') return 'admin'
  if (method !== 'POST') return 'read'
  return /\/sessions\/(?!by-user\/)[^/]+\/terminate$/.test(path) ? 'admin' : 'exec'
}
