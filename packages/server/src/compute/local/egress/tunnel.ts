import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Milliseconds until a client that has ended its sending half is checked again. The time doubles with each check. */
const [firstLookMs, lastLookMs] = [50, 2_000]
const nothing = Buffer.alloc(0)

/**
 * Copies bytes both ways, as fast as the slower side accepts them, until both sides have ended. A side that has ended its
 * sending half still receives. Both sockets need a listener for `error` already.
 *
 * @param idleMs if a side has no data for this time, both are closed.
 */
export function tunnel(client: Socket, upstream: Socket, idleMs: number): void {
  const endBoth = (): void => {
    client.destroy()
    upstream.destroy()
  }
  for (const [side, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    side.setTimeout(idleMs, endBoth)
    side.once('close', () => {
      // Data that it has sent before its end is still passed on.
      if (side.readableEnded) other.destroySoon()
      else other.destroy()
    })
    side.pipe(other)
  }
  noticeEnd(client)
}

/**
 * Closes a client that has closed its whole socket. To Node that looks the same as one that has ended its sending half
 * only, but a write to it fails (unix(7): EPIPE), even an empty one, which no client sees. Without this, a connection of
 * code that was killed would stay open until the other side sends something.
 */
function noticeEnd(client: Duplex): void {
  let timer: NodeJS.Timeout | undefined
  const look = (afterMs: number): void => {
    if (client.destroyed || client.writableEnded) return
    client.write(nothing)
    timer = setTimeout(look, afterMs, Math.min(2 * afterMs, lastLookMs)).unref()
  }
  client.once('end', () => look(firstLookMs))
  client.once('close', () => clearTimeout(timer))
}
