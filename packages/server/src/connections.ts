import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Maximum, even if the process may open more files: each connection needs some kilobytes. */
const mostConnections = 20_000

/**
 * The default limit of open connections: three quarters of the files that the process may open. The rest is for sandboxes,
 * the database and connections that are being refused.
 */
export function defaultMaxConnections(): number {
  const [, limit] = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  const files = Number(limit) // NaN for unlimited
  return files > 0 ? Math.min(Math.floor(files * 0.75), mostConnections) : mostConnections
}

/**
 * Limits the open connections of a server, so that a client with many connections cannot lock out others. If a new
 * connection exceeds the limit, the one that has been idle longest is closed. If all have requests in progress, the new
 * connection is closed.
 */
export function boundConnections(server: Server, max: number): void {
  /** All open connections. */
  const open = new Set<Socket>()
  /**
   * Connections without a request in progress, in the order in which they became idle. A connection that still sends
   * headers is idle.
   */
  const idle = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      idle.delete(socket)
    })
    if (open.size > max) {
      const [longestIdle = socket] = idle
      // Not in its 'close' event: the next connection may arrive before that.
      open.delete(longestIdle)
      idle.delete(longestIdle)
      longestIdle.destroy()
    }
    if (!socket.destroyed) idle.add(socket)
  })
  // Before the listener that answers, which may have answered when it returns.
  server.prependListener('request', ({ socket }, response) => {
    idle.delete(socket)
    response.once('close', () => {
      if (open.has(socket)) idle.add(socket)
    })
  })
}
