import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { Theazo, TheazoError } from '@theazo/core'
import type { Flags } from './flags.ts'
import { openLocalTheazo } from './local-theazo.ts'
import { createTheazoMcpServer } from './server.ts'
import { createSessionPool } from './session-pool.ts'
import { version } from './version.ts'

/** The settings of the program: its flags, with the user id filled in. */
export interface ServeStdioOptions extends Omit<Flags, 'show' | 'userId'> {
  userId: string
}

/** Clean-up stops waiting for the Theazo server after this time: a client kills a process that does not exit. */
const cleanUpTimeoutMs = 15_000
const userAgent = `theazo-mcp/${version}`

/**
 * Serves one client over stdio until the connection closes or a signal arrives, then ends the sandbox (or pauses it, if
 * it has a name).
 *
 * @throws {Error} if it cannot start, or if the sandbox could not be ended.
 */
export async function serveStdio(options: ServeStdioOptions): Promise<void> {
  const { userId, isLocal, groups, isReadOnly, hasImages, answerSeconds } = options
  const stopped = Promise.withResolvers<void>()
  onClientGoneOrSignal(stopped.resolve)
  /** Last opened first: the order of clean-up. */
  const resources: AsyncDisposable[] = []
  try {
    const local = isLocal ? await openLocalTheazo() : undefined
    if (local) resources.unshift(local)
    const client = local ? new Theazo({ ...local, userAgent }) : createRemoteClient()
    const pool = createSessionPool(client, options)
    resources.unshift(pool)
    const { server } = createTheazoMcpServer({
      userId,
      client,
      pool,
      groups,
      readOnly: isReadOnly,
      images: hasImages,
      answerSeconds,
    })
    Object.assign(server, {
      onclose: stopped.resolve, // the transport closes by itself after a line over 10 MiB
      onerror: ({ message }: Error) => process.stderr.write(`theazo-mcp: ${message.slice(0, 300)}\n`),
    })
    await server.connect(new StdioServerTransport())
    resources.unshift({ [Symbol.asyncDispose]: () => server.close() }) // aborts the calls in flight
    await stopped.promise
  } finally {
    await withCleanUpTimeout(disposeAll(resources), options)
  }
}

function createRemoteClient(): Theazo {
  try {
    return new Theazo({ userAgent })
  } catch (error) {
    if (!TheazoError.isInstance(error)) throw error
    throw new Error(`${error.message.replace(/\.?$/, '.')} Or start theazo-mcp with --local, which needs no account.`, {
      cause: error,
    })
  }
}

/** The SDK's transport does not detect that the client closes the connection. */
function onClientGoneOrSignal(stop: () => void): void {
  for (const name of ['end', 'close', 'error']) process.stdin.on(name, stop)
  process.stdout.on('error', stop) // the client stopped reading
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop)
}

/** Disposes every resource, even if an earlier one fails. @throws the first error. */
async function disposeAll(resources: readonly AsyncDisposable[]): Promise<void> {
  const errors: unknown[] = []
  for (const resource of resources) await resource[Symbol.asyncDispose]().then(undefined, (error) => errors.push(error))
  if (errors.length > 0) throw errors[0]
}

async function withCleanUpTimeout(cleanUp: Promise<void>, { idleTimeoutSeconds }: ServeStdioOptions): Promise<void> {
  const timeout = Promise.withResolvers<never>()
  const message = `The sandbox did not end within ${cleanUpTimeoutMs / 1000} s. The server ends it after ${idleTimeoutSeconds} s without use.`
  const timer = setTimeout(() => timeout.reject(new Error(message)), cleanUpTimeoutMs)
  try {
    await Promise.race([cleanUp, timeout.promise])
  } finally {
    clearTimeout(timer)
  }
}
