import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { boundConnections, defaultMaxConnections } from './connections.ts'
import { SetupError } from './errors.ts'
import type { ApiKeys } from './keys/api-keys.ts'
import { isLoopback } from './network/loopback.ts'
import { createServer, type ServerOptions } from './server.ts'

/** Options of a server with a port. */
export interface ListenOptions extends ServerOptions {
  /** Default 127.0.0.1: nobody but this machine. Another address needs a key that was made for it. */
  host?: string | undefined
  /** Default 4020; 0 takes a free one. */
  port?: number | undefined
  /**
   * Lets the HTTP layer replace this process' `Request` and `Response` by faster ones: three times the requests a
   * second. Default false, for a server within somebody's program; `theazo-server serve` does it.
   */
  replaceGlobals?: boolean | undefined
  /**
   * Milliseconds that a connection is kept for the next request. Default 75,000: longer than load balancers keep theirs, so
   * that they do not send a request into a connection that is being closed.
   */
  keepAliveTimeoutMs?: number | undefined
  /** Open connections at most; beyond, the longest idle is closed. Default: three quarters of the open files allowed. */
  maxConnections?: number | undefined
}

/** A server that listens. */
export interface ListeningTheazo extends AsyncDisposable {
  /** Base URL, ends in `/v1`. */
  url: string
  /** The embedded key. */
  apiKey: string
  /** The keys that it accepts; more can be made. */
  keys: ApiKeys
}

/** The port where none is asked for. */
export const defaultPort = 4020
const lastAnswerTimeoutMs = 2_000
/** A client that takes longer to send its headers, or its whole request, is dropped. */
const headersTimeoutMs = 15_000
const requestTimeoutMs = 120_000
/** A connection on which nothing moves is dropped; an exec is silent for 120 s, a stream never for more than 15. */
const silentTimeoutMs = 150_000
const defaultKeepAliveTimeoutMs = 75_000
const serverOptions = {
  headersTimeout: headersTimeoutMs,
  requestTimeout: requestTimeoutMs,
  connectionsCheckingInterval: 5_000, // Node's own 30 s would double the first of them
}

/**
 * Starts the server on a port. On dispose it takes no more connections, drains, answers what it killed, and closes.
 *
 * @example
 * ```ts
 * await using server = await listenTheazo({ port: 0, dataDir: './theazo-data' })
 * console.log(server.url, server.apiKey)
 * ```
 *
 * @throws {SetupError} where the port is taken, the machine cannot isolate sandboxes, or others could connect while
 * there is only the embedded key.
 */
export async function listenTheazo(options: ListenOptions = {}): Promise<ListeningTheazo> {
  const { host = '127.0.0.1', port = defaultPort, replaceGlobals = false } = options
  const { keepAliveTimeoutMs = defaultKeepAliveTimeoutMs, maxConnections = defaultMaxConnections() } = options
  const server = await createServer(options)
  try {
    if (!isLoopback(host) && !(await server.keys.hasOwn())) throw onlyEmbedded(host)
    const http = await listening(
      {
        fetch: server.answer,
        hostname: host,
        port,
        overrideGlobalObjects: replaceGlobals,
        serverOptions: { ...serverOptions, keepAliveTimeout: keepAliveTimeoutMs },
      },
      maxConnections,
    )
    // An address of a listening TCP server is never a string or null.
    const address = http.address() as AddressInfo
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
    return {
      url: `http://${name}:${address.port}/v1`,
      apiKey: server.apiKey,
      keys: server.keys,
      async [Symbol.asyncDispose]() {
        const closed = once(http, 'close')
        // Whoever asks /readyz meanwhile is told; a closed port says less.
        const disposed = server[Symbol.asyncDispose]()
        await Promise.race([server.drained, disposed])
        http.close()
        await disposed
        // Connections whose last answer is still on its way are closed after it, those of a stuck reader in the end.
        const sweep = setInterval(() => http.closeIdleConnections(), 20)
        const limit = setTimeout(() => http.closeAllConnections(), lastAnswerTimeoutMs)
        await closed
        clearInterval(sweep)
        clearTimeout(limit)
      },
    }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

async function listening(options: Parameters<typeof serve>[0], maxConnections: number): Promise<HttpServer> {
  // The cast: without options for another one it is HTTP/1.
  const http = serve(options) as HttpServer
  http.setTimeout(silentTimeoutMs)
  boundConnections(http, maxConnections)
  try {
    await once(http, 'listening')
    return http
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SetupError(
      `Cannot listen on ${options.hostname}:${options.port}: ${reason}. Choose another port with --port.`,
      { cause },
    )
  }
}

function onlyEmbedded(host: string): SetupError {
  return new SetupError(
    `Others could reach ${host}, and there is only the embedded key, which is for this machine. ` +
      'Make one first: theazo-server keys create --data-dir DIR --live --plan team',
  )
}
