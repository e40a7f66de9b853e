import { cleanUp, onStopSignal } from './clean-up.ts'
import type { Flags } from './flags.ts'
import { McpHandlers } from '../mcp-handlers.ts'
import { printError } from './print-error.ts'
import { openProgramClient } from './program-client.ts'
import type { Protocol } from '../protocol.ts'
import { createSessionPool } from '../session-pool.ts'
import { opensWithVersion } from './stdio-opening.ts'

/** The settings of the program: its flags, with the user id filled in. */
export interface ServeStdioOptions extends Omit<Flags, 'show' | 'isDoctor' | 'userId' | 'http'> {
  userId: string
}

/** Settings of a connection over the standard streams. */
export interface StdioOptions {
  /** True: a client of an older protocol is served too. Version 1 of the SDK serves no other. */
  acceptsInitialize: boolean
  /** Called when the transport has closed. */
  onClose: () => void
  onError: (error: Error) => void
}

/** A connection over the standard streams. */
export interface StdioConnection {
  /** Aborts the calls in flight. */
  close: () => Promise<void>
}

/**
 * Serves one client over stdio until the connection closes or a signal arrives, then ends the sandbox (or pauses it, if
 * it has a name).
 *
 * @throws {Error} if it cannot start, or if the sandbox could not be ended.
 */
export async function serveStdio(options: ServeStdioOptions): Promise<void> {
  const { userId, groups, isReadOnly, hasImages, answerSeconds, approve, protocol } = options
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
    const handlers = new McpHandlers({ userId, client, pool, ...tools })
    handlers.onError = printError
    const connect = await Promise.race([connectorOf(protocol), stopped.promise])
    if (!connect) return
    const { close } = await connect(handlers, {
      acceptsInitialize: protocol === 'auto',
      onClose: stopped.resolve,
      onError: printError,
    })
    resources.unshift({ [Symbol.asyncDispose]: close })
    await stopped.promise
  } finally {
    await cleanUp(resources, options)
  }
}

type Connect = (handlers: McpHandlers, options: StdioOptions) => Promise<StdioConnection>

/** Loads one version of the SDK only: that of the protocol, or of the client's first message. */
async function connectorOf(protocol: Protocol): Promise<Connect> {
  const isV2 = protocol === 'auto' ? await opensWithVersion(process.stdin) : protocol === '2026-07-28'
  if (isV2) return (await import('../sdk-v2/stdio.ts')).connectStdioV2
  return (await import('../sdk-v1/stdio.ts')).connectStdioV1
}

/** Version 1 of the SDK does not detect that the client closes the connection. */
function onClientGone(stop: () => void): void {
  for (const name of ['end', 'close', 'error']) process.stdin.on(name, stop)
  process.stdout.on('error', stop) // the client has closed this stream
}
