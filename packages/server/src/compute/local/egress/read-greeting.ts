import { timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { TheazoServerError } from '../../../errors.ts'

/**
 * Waits until the other side has sent the expected bytes. Later bytes stay unread.
 *
 * @throws {TheazoServerError} for other bytes, or if the connection ends first; the signal's reason.
 */
export async function readGreeting(socket: Socket, greeting: Uint8Array, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onReadable = (): void => {
    const found: Buffer | null = socket.read(greeting.length)
    if (!found) return
    if (found.length === greeting.length && timingSafeEqual(found, greeting)) resolve()
    else reject(new TheazoServerError('The other side is not the egress proxy.'))
  }
  const onEnd = (): void => reject(new TheazoServerError('The egress proxy did not accept the connection.'))
  const onAbort = (): void => reject(signal.reason)
  socket.on('readable', onReadable).once('end', onEnd).once('close', onEnd)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await promise
  } finally {
    socket.off('readable', onReadable).off('end', onEnd).off('close', onEnd)
    signal.removeEventListener('abort', onAbort)
  }
}
