import { join } from 'node:path'
import { pino } from 'pino'
import { createApp } from './app.ts'
import { createLocalProvider } from './compute/local/local-provider.ts'
import { openDataFolder } from './data-folder.ts'
import { ApiKeys } from './keys/api-keys.ts'
import { InFlight } from './in-flight.ts'
import { embeddedKey } from './keys/embedded-key.ts'
import type { Plan } from './keys/plan.ts'
import { Agents } from './services/agents.ts'
import { Sessions } from './services/sessions.ts'
import { openDatabase } from './store/database.ts'

/** Options of every way to run the server. */
export interface ServerOptions {
  /** Folder of the database, the embedded key and, for a plain user, agents' files. Default: a temporary one. */
  dataDir?: string | undefined
  /** Plan of the embedded key. Default `enterprise`, which has no rate limit. */
  plan?: Plan | undefined
  /** Milliseconds after which an exec is killed and answered 504. Default and at most 120,000. */
  execTimeoutMs?: number | undefined
  /** Where log lines (JSON, one a line) go. Default: nowhere. */
  log?: { write(line: string): void } | undefined
}

/** A server without a port yet. */
export interface Server extends AsyncDisposable {
  fetch: (request: Request) => Promise<Response>
  /** The embedded key. */
  apiKey: string
}

const maxExecTimeoutMs = 120_000
/** How long a closing server waits for answers after it has killed what ran. */
const drainTimeoutMs = 5_000

/**
 * Opens the data folder and puts the server together. On dispose it lets nothing more in, kills what runs, waits for
 * the answers and closes what it opened.
 *
 * @throws {SetupError} where the machine cannot isolate sandboxes; the message names the fix.
 */
export async function createServer(options: ServerOptions = {}): Promise<Server> {
  const opened: AsyncDisposable[] = []
  const closeAll = async (): Promise<void> => {
    for (const part of opened.splice(0).toReversed()) await part[Symbol.asyncDispose]()
  }
  try {
    return await open(options, opened, closeAll)
  } catch (error) {
    await closeAll()
    throw error
  }
}

/** @param opened is given each part that must be closed again, as it is opened (Node 22 has no AsyncDisposableStack). */
async function open(options: ServerOptions, opened: AsyncDisposable[], closeAll: () => Promise<void>): Promise<Server> {
  const log = pino({ level: options.log ? 'info' : 'silent', base: null }, options.log ?? { write() {} })
  const folder = await openDataFolder(options.dataDir)
  opened.push(folder)
  const database = await openDatabase(join(folder.path, 'theazo.db'))
  opened.push({ [Symbol.asyncDispose]: () => database.destroy() })
  const keys = new ApiKeys(database)
  const apiKey = await embeddedKey(folder.path)
  await keys.setEmbedded(apiKey, options.plan ?? 'enterprise')
  const inFlight = new InFlight()
  opened.push({ [Symbol.asyncDispose]: () => inFlight.drained(drainTimeoutMs) })
  const compute = await createLocalProvider(folder)
  opened.push(compute, { [Symbol.asyncDispose]: async () => inFlight.close() })
  const sessions = new Sessions(database)
  const execTimeoutMs = Math.min(options.execTimeoutMs ?? maxExecTimeoutMs, maxExecTimeoutMs)
  const agents = new Agents({ database, sessions, compute, execTimeoutMs })
  await agents.recover()
  const app = createApp({ log, keys, sessions, agents })
  return { apiKey, fetch: (request) => inFlight.track(() => app.fetch(request)), [Symbol.asyncDispose]: closeAll }
}
