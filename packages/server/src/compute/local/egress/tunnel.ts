import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Until a client that has ended its half is looked at again; twice as long each time. */
const [firstLookMs, lastLookMs] = [50, 2_000]
const nothing = Buffer.alloc(0)

/**
 * Passes bytes both ways, as fast as the slower side takes them, until both have ended. One that has ended only what it
 * sends still hears the other.
 *
 * @param idleMs after which a side on which nothing moves ends both.
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
      // What it has sent before its end is still passed on.
      if (side.readableEnded) other.destroySoon()
      else other.destroy()
    })
    side.pipe(other)
  }
  noticeEnd(client)
}

/**
 * Node is told the same where a client has closed its socket and where only its sending half. A write tells the two
 * apart (unix(7): EPIPE), an empty one too, which no client sees. Without it a connection of code that was killed would
 * stay until the other side says something.
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
