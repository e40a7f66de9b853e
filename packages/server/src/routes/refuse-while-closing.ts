import { ApiError } from '../errors.ts'
import type { Call } from './environment.ts'
import { tellHeader } from './headers.ts'

/**
 * A server that is closing still reads, and begins nothing: what it began would be killed.
 *
 * @throws {ApiError} 502.
 */
export function refuseWhileClosing(isClosing: () => boolean, { method }: Request, call: Call): void {
  if (!changes.includes(method) || !isClosing()) return
  tellHeader(call, 'connection', 'close')
  throw new ApiError('provider_error', 'The server is shutting down and begins nothing new; try again soon.')
}

/** The methods of requests that may begin or change something. */
export const changes = ['POST', 'PATCH', 'PUT', 'DELETE']
