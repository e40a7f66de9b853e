import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Each takes some kilobytes, whatever the process may open. */
const mostConnections = 20_000

/**
 * How many connections a server may hold: three quarters of the files that the process may open. The rest is for
 * sandboxes, the database and connections that are being refused.
 */
export function defaultMaxConnections(): number {
  const [, limit] = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  const files = Number(limit) // NaN for unlimited
  return files > 0 ? Math.min(Math.floor(files * 0.75), mostConnections) : mostConnections
}

/**
 * Bounds the open connections of a server, so that one client that holds many cannot shut out others: a new connection
 * beyond the bound closes the one that has waited longest without a request. Where all have requests in progress, the new
 * one is closed.
 */
export function boundConnections(server: Server, max: number): void {
  /** All that are open. */
  const open = new Set<Socket>()
  /** Those without a request in progress, the longest idle first. One that is still sending its headers is idle. */
  const idle = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      idle.delete(socket)
    })
    if (open.size > max) {
      const [longestIdle = socket] = idle
      // Not after its 'close': the next connection may come before that.
      open.delete(longestIdle)
      idle.delete(longestIdle)
      longestIdle.destroy()
    }
    if (!socket.destroyed) idle.add(socket)
  })
  // Before the listener that answers: it may have answered when it returns.
  server.prependListener('request', ({ socket }, response) => {
    idle.delete(socket)
    response.once('close', () => {
      if (open.has(socket)) idle.add(socket)
    })
  })
}
