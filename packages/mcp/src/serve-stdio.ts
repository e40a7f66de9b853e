import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { Theazo, TheazoError } from '@theazo/core'
import type { Flags } from './flags.ts'
import { openLocalTheazo } from './local-theazo.ts'
import { createTheazoMcpServer } from './server.ts'
import { createSessionPool } from './session-pool.ts'
import { version } from './version.ts'

/** What the program serves, and to whom. */
export interface ServeStdioOptions extends Omit<Flags, 'show' | 'userId'> {
  userId: string
}

/** The end waits no longer for the server: a client kills a process that stays. */
const endTimeoutMs = 15_000
const userAgent = `theazo-mcp/${version}`

/**
 * Serves one client over stdio until the connection is closed or a signal comes, and ends what it made.
 *
 * @throws {Error} if it cannot start, or if the server did not answer at the end.
 */
export async function serveStdio(options: ServeStdioOptions): Promise<void> {
  const { userId, isLocal, groups, isReadOnly, hasImages } = options
  const ended = Promise.withResolvers<void>()
  endWithClient(ended.resolve)
  const opened: AsyncDisposable[] = []
  try {
    const local = isLocal ? await openLocalTheazo() : undefined
    if (local) opened.unshift(local)
    const client = local ? new Theazo({ ...local, userAgent }) : connect()
    const pool = createSessionPool(client, options)
    opened.unshift(pool)
    const { server } = createTheazoMcpServer({ userId, client, pool, groups, readOnly: isReadOnly, images: hasImages })
    Object.assign(server, {
      onclose: ended.resolve, // a line over 10 MiB closes the transport, which reads nothing more
      onerror: ({ message }: Error) => process.stderr.write(`theazo-mcp: ${message.slice(0, 300)}\n`),
    })
    await server.connect(new StdioServerTransport())
    opened.unshift({ [Symbol.asyncDispose]: () => server.close() }) // aborts the calls in flight
    await ended.promise
  } finally {
    await withinTime(endAll(opened), options)
  }
}

function connect(): Theazo {
  try {
    return new Theazo({ userAgent })
  } catch (error) {
    if (!TheazoError.isInstance(error)) throw error
    throw new Error(`${error.message.replace(/\.?$/, '.')} Or start it with --local, which needs no account.`, {
      cause: error,
    })
  }
}

/** The SDK's transport does not notice that the client closes its end. */
function endWithClient(end: () => void): void {
  for (const name of ['end', 'close', 'error']) process.stdin.on(name, end)
  process.stdout.on('error', end) // the client went in the middle of an answer
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end)
}

/** Ends each, also after one that could not be ended. */
async function endAll(opened: readonly AsyncDisposable[]): Promise<void> {
  const errors: unknown[] = []
  for (const resource of opened) await resource[Symbol.asyncDispose]().then(undefined, (error) => errors.push(error))
  if (errors.length > 0) throw errors[0]
}

async function withinTime(ending: Promise<void>, { idleTimeoutSeconds }: ServeStdioOptions): Promise<void> {
  const late = Promise.withResolvers<never>()
  const message = `The sandbox was not ended within ${endTimeoutMs / 1000} s. The server ends it once it was ${idleTimeoutSeconds} s without use.`
  const timer = setTimeout(() => late.reject(new Error(message)), endTimeoutMs)
  try {
    await Promise.race([ending, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
