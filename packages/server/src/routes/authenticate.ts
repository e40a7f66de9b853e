import { ApiError } from '../errors.ts'
import type { ApiKeys } from '../keys/api-keys.ts'
import type { RequestContext } from './environment.ts'
import { readHeader, setHeader } from './headers.ts'

/**
 * Finds the principal of a request by its API key in `Authorization: Bearer …`.
 *
 * @throws {ApiError} 401 if the key is missing, unknown or revoked.
 */
export function authenticate(keys: ApiKeys, request: Request, context: RequestContext): void {
  const key = /^bearer (\S+)$/i.exec(readHeader(request, context, 'authorization') ?? '')?.[1]
  if (key === undefined) {
    throw new ApiError('unauthorized', 'The API key is missing. Send it as "Authorization: Bearer th_live_…".')
  }
  const principal = keys.principalOf(key)
  if (!principal)
    throw new ApiError('unauthorized', 'The API key is invalid: this server did not create it, or it was revoked.')
  context.principal = principal
  if (principal.mode === 'test') setHeader(context, 'x-theazo-mode', 'test')
}
