import { shuttingDown } from '../errors.ts'
import type { RequestContext } from './environment.ts'
import { setHeader } from './headers.ts'

/**
 * Refuses changes while the server closes, because it would kill new work. Reads still succeed.
 *
 * @throws {ApiError} 502 while the server closes.
 */
export function refuseWhileClosing(isClosing: () => boolean, { method }: Request, context: RequestContext): void {
  if (!changes.includes(method) || !isClosing()) return
  setHeader(context, 'connection', 'close')
  throw shuttingDown()
}

/** Methods of requests that may start or change something. */
export const changes = ['POST', 'PATCH', 'PUT', 'DELETE']
