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
  /** Address to listen on. Default 127.0.0.1: this machine only. Any other address needs a key besides the embedded one. */
  host?: string | undefined
  /** Default 4020; 0 chooses a free port. */
  port?: number | undefined
  /**
   * Lets the HTTP layer replace this process' `Request` and `Response` by faster ones, which triples the requests per
   * second. Default false, for a server inside another program; `theazo-server serve` sets it.
   */
  replaceGlobals?: boolean | undefined
  /**
   * Milliseconds that an idle connection stays open for the next request. Default 75,000: longer than load balancers keep
   * theirs, so that they do not send a request into a connection that is being closed.
   */
  keepAliveTimeoutMs?: number | undefined
  /**
   * Maximum open connections; above it the one that is idle longest is closed. Default: 3/4 of `ulimit -n`, at most
   * 20,000.
   */
  maxConnections?: number | undefined
}

/** A server that listens on a port. */
export interface ListeningTheazo extends AsyncDisposable {
  /** Base URL; it ends in `/v1`. */
  url: string
  /** The embedded key. */
  apiKey: string
  /** The keys that the server accepts. More can be created. */
  keys: ApiKeys
}

/** The default port. */
export const defaultPort = 4020
const lastAnswerTimeoutMs = 2_000
/** A client that takes longer to send its headers, or its whole request, is dropped. */
const headersTimeoutMs = 15_000
const requestTimeoutMs = 120_000
/** A silent connection is dropped after this. An exec may be silent for 120 s, a stream for 15 s. */
const silentTimeoutMs = 150_000
const defaultKeepAliveTimeoutMs = 75_000
const serverOptions = {
  headersTimeout: headersTimeoutMs,
  requestTimeout: requestTimeoutMs,
  connectionsCheckingInterval: 5_000, // Node's own 30 s would double the first of them
}

/**
 * Starts the server on a port. On dispose it drains, refuses new connections, answers the requests that it killed, and
 * closes.
 *
 * @example
 * ```ts
 * await using server = await listenTheazo({ port: 0, dataDir: './theazo-data' })
 * console.log(server.url, server.apiKey)
 * ```
 *
 * @throws {SetupError} if the port is taken, the machine cannot isolate sandboxes, the data folder cannot be used, or
 *   other machines could connect while the embedded key is the only one.
 */
export async function listenTheazo(options: ListenOptions = {}): Promise<ListeningTheazo> {
  const { host = '127.0.0.1', port = defaultPort, replaceGlobals = false } = options
  const { keepAliveTimeoutMs = defaultKeepAliveTimeoutMs, maxConnections = defaultMaxConnections() } = options
  const server = await createServer(options)
  try {
    if (!isLoopback(host) && !(await server.keys.hasOwn())) throw noOwnKey(host)
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
        // The port stays open during the drain, so that /readyz reports the shutdown.
        const disposed = server[Symbol.asyncDispose]()
        await Promise.race([server.drained, disposed])
        http.close()
        await disposed
        // Close connections after their last answer, and those of stuck readers after the time limit.
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
  // The cast: without other options `serve` creates an HTTP/1 server.
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

function noOwnKey(host: string): SetupError {
  return new SetupError(
    `Other machines could reach ${host}, but the only key is the embedded key, which is for this machine. ` +
      'Create a key first: theazo-server keys create --data-dir DIR --live --plan team',
  )
}
