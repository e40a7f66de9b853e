import { createMiddleware } from 'hono/factory'
import { ApiError } from '../errors.ts'
import type { ApiKeys } from '../keys/api-keys.ts'
import type { Environment } from './environment.ts'
import { readHeader, tellHeader } from './headers.ts'

/** Lets a request pass that carries a key of this server as `Authorization: Bearer …`. */
export function authenticate(keys: ApiKeys) {
  return createMiddleware<Environment>(async (c, next) => {
    const key = /^bearer (\S+)$/i.exec(readHeader(c, 'authorization') ?? '')?.[1]
    if (key === undefined) {
      throw new ApiError('unauthorized', 'No API key: send it as "Authorization: Bearer th_live_…".')
    }
    const principal = await keys.principalOf(key)
    if (!principal) throw new ApiError('unauthorized', 'The API key is not one of this server.')
    c.set('principal', principal)
    if (principal.mode === 'test') tellHeader(c, 'x-theazo-mode', 'test')
    await next()
  })
}
