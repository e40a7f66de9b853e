import { ApiError } from '../errors.ts'
import type { ApiKeys } from '../keys/api-keys.ts'
import type { Call } from './environment.ts'
import { readHeader, tellHeader } from './headers.ts'

/**
 * Finds who asks, by a key of this server as `Authorization: Bearer …`.
 *
 * @throws {ApiError} 401 where there is none.
 */
export function authenticate(keys: ApiKeys, request: Request, call: Call): void {
  const key = /^bearer (\S+)$/i.exec(readHeader(request, call, 'authorization') ?? '')?.[1]
  if (key === undefined) {
    throw new ApiError('unauthorized', 'No API key: send it as "Authorization: Bearer th_live_…".')
  }
  const principal = keys.principalOf(key)
  if (!principal) throw new ApiError('unauthorized', 'The API key is not one of this server.')
  call.principal = principal
  if (principal.mode === 'test') tellHeader(call, 'x-theazo-mode', 'test')
}
