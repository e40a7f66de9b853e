import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { cleanUp, onStopSignal } from './clean-up.ts'
import type { Flags } from './flags.ts'
import { openProgramClient } from './program-client.ts'
import { createTheazoMcpServer } from './server.ts'
import { createSessionPool } from './session-pool.ts'

/** The settings of the program: its flags, with the user id filled in. */
export interface ServeStdioOptions extends Omit<Flags, 'show' | 'isDoctor' | 'userId' | 'http'> {
  userId: string
}

/**
 * Serves one client over stdio until the connection closes or a signal arrives, then ends the sandbox (or pauses it, if
 * it has a name).
 *
 * @throws {Error} if it cannot start, or if the sandbox could not be ended.
 */
export async function serveStdio(options: ServeStdioOptions): Promise<void> {
  const { userId, groups, isReadOnly, hasImages, answerSeconds, approve } = options
  const stopped = Promise.withResolvers<void>()
  onClientGone(stopped.resolve)
  onStopSignal(stopped.resolve)
  /** Last opened first: the order of clean-up. */
  const resources: AsyncDisposable[] = []
  try {
    const { client, local } = await openProgramClient(options)
    if (local) resources.unshift(local)
    const pool = createSessionPool(client, options)
    resources.unshift(pool)
    const tools = { groups, readOnly: isReadOnly, images: hasImages, answerSeconds, approve }
    const { server } = createTheazoMcpServer({ userId, client, pool, ...tools })
    Object.assign(server, {
      onclose: stopped.resolve, // the transport closes by itself after a line over 10 MiB
      onerror: ({ message }: Error) => process.stderr.write(`theazo-mcp: ${message.slice(0, 300)}\n`),
    })
    await server.connect(new StdioServerTransport())
    resources.unshift({ [Symbol.asyncDispose]: () => server.close() }) // aborts the calls in flight
    await stopped.promise
  } finally {
    await cleanUp(resources, options)
  }
}

/** The SDK's transport does not detect that the client closes the connection. */
function onClientGone(stop: () => void): void {
  for (const name of ['end', 'close', 'error']) process.stdin.on(name, stop)
  process.stdout.on('error', stop) // the client stopped reading
}
