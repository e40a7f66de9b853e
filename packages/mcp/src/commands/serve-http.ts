import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { cleanUp, onStopSignal } from './clean-up.ts'
import type { Flags } from './flags.ts'
import { createTheazoMcpApp } from '../http/mcp-app.ts'
import { mcpPath } from '../http/mcp-http.ts'
import type { HttpFlags } from './http-flags.ts'
import { printError } from './print-error.ts'
import { clientOfKey, openProgramClient } from './program-client.ts'

/** The settings of the program: its flags, with the user id filled in. */
export interface ServeHttpOptions extends Omit<Flags, 'show' | 'isDoctor' | 'userId' | 'http'> {
  userId: string
  http: HttpFlags
}

/** A client that sends its headers or its body more slowly is dropped. Idle connections outlive those of load balancers. */
const serverOptions = { headersTimeout: 15_000, requestTimeout: 120_000, keepAliveTimeout: 75_000 }

/**
 * Serves clients over HTTP until a signal arrives, then ends all sessions with their sandboxes. It prints one line with
 * the URL on standard output when it listens.
 *
 * @throws {Error} if it cannot start, or if a sandbox could not be ended.
 */
export async function serveHttp(options: ServeHttpOptions): Promise<void> {
  const { http, isReadOnly, hasImages, ...rest } = options
  const stopped = Promise.withResolvers<void>()
  onStopSignal(stopped.resolve)
  /** Last opened first: the order of clean-up. */
  const resources: AsyncDisposable[] = []
  try {
    const opened = http.auth.type === 'api-key' ? undefined : await openProgramClient(options)
    if (opened?.local) resources.unshift(opened.local)
    const app = createTheazoMcpApp({
      ...http,
      ...rest,
      client: opened?.client,
      clientOfKey,
      readOnly: isReadOnly,
      images: hasImages,
      onError: printError,
    })
    resources.unshift(app)
    const server = await listen(app.fetch, http)
    const { address, family, port } = server.address() as AddressInfo // a server that listens on a TCP port
    process.stdout.write(`http://${family === 'IPv6' ? `[${address}]` : address}:${port}${mcpPath}\n`)
    await stopped.promise
    server.close()
    resources.push({ [Symbol.asyncDispose]: async () => server.closeAllConnections() })
  } finally {
    await cleanUp(resources, options)
  }
}

async function listen(fetch: (request: Request) => Promise<Response>, { host, port }: HttpFlags): Promise<Server> {
  // The cast: without other options `serve` creates an HTTP/1 server.
  const server = serve({ fetch, hostname: host, port, serverOptions }) as Server
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'EADDRINUSE' ? 'the port is in use; choose another with --port' : cause.message
    throw new Error(`Cannot listen on ${host}:${port}: ${reason}.`, { cause })
  })
  return server
}
