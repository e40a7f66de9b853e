import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { SetupError } from './errors.ts'
import { createServer, type ServerOptions } from './server.ts'

/** Options of a server with a port. */
export interface ListenOptions extends ServerOptions {
  /** Default 127.0.0.1: nobody but this machine. */
  host?: string | undefined
  /** Default 4020; 0 takes a free one. */
  port?: number | undefined
}

/** A server that listens. */
export interface ListeningTheazo extends AsyncDisposable {
  /** Base URL, ends in `/v1`. */
  url: string
  /** The embedded key. */
  apiKey: string
}

export const defaultPort = 4020
const lastAnswerTimeoutMs = 2_000

/**
 * Starts the server on a port. On dispose it takes no more requests, kills what runs and answers it, and closes.
 *
 * @throws {SetupError} where the port is taken or the machine cannot isolate sandboxes.
 */
export async function listenTheazo(options: ListenOptions = {}): Promise<ListeningTheazo> {
  const { host = '127.0.0.1', port = defaultPort } = options
  const server = await createServer(options)
  // The globals of whoever embeds this stay as they are. The cast: without options for another one it is HTTP/1.
  const http = serve({ fetch: server.fetch, hostname: host, port, overrideGlobalObjects: false }) as HttpServer
  try {
    await once(http, 'listening')
  } catch (cause) {
    await server[Symbol.asyncDispose]()
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SetupError(`Cannot listen on ${host}:${port}: ${reason}. Choose another port with --port.`, { cause })
  }
  // An address of a listening TCP server is never a string or null.
  const address = http.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${name}:${address.port}/v1`,
    apiKey: server.apiKey,
    async [Symbol.asyncDispose]() {
      const closed = once(http, 'close')
      http.close()
      await server[Symbol.asyncDispose]()
      // Connections whose last answer is still on its way are closed after it, those of a stuck reader in the end.
      const sweep = setInterval(() => http.closeIdleConnections(), 20)
      const limit = setTimeout(() => http.closeAllConnections(), lastAnswerTimeoutMs)
      await closed
      clearInterval(sweep)
      clearTimeout(limit)
    },
  }
}
