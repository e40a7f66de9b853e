import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors.ts'
import { covers, type Scope } from '../keys/scopes.ts'
import type { Environment } from './environment.ts'

/** Refuses a key without the request's scope. Comes before the body and the idempotency key (contract, order of checks). */
export function needsScope(): MiddlewareHandler<Environment> {
  return async (c, next) => {
    const { scopes } = c.env.principal
    const scope = scopeOf(c.req.method, c.req.path)
    if (covers(scopes, scope)) return await next()
    const message = `The API key has the scopes ${scopes.join(', ')}; this request needs ${scope}. Use a key with that scope.`
    throw new ApiError('forbidden', message, { details: { scope } })
  }
}

/** The scope of a request, as `scopes` describes. An unknown method needs `read` only: the router refuses it. */
function scopeOf(method: string, path: string): Scope {
  if (method === 'PATCH') return 'admin'
  if (method !== 'POST') return 'read'
  return /\/sessions\/(?!by-user\/)[^/]+\/terminate$/.test(path) ? 'admin' : 'exec'
}
