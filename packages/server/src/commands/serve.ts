import { SetupError } from '../errors.ts'
import { plans } from '../keys/plan.ts'
import { defaultPort, listenTheazo } from '../listen.ts'
import { type Flag, flagTable, folderOf, type Given, oneOf, readFlags, wholeNumber } from './flags.ts'
import { idleTimeoutBounds } from '../schemas.ts'
import type { ServerOptions } from '../server.ts'
import { logLines } from './log-lines.ts'
import { sandboxFlags, sandboxOptionsOf } from './sandbox-flags.ts'

const flags = {
  port: { value: 'N', env: 'THEAZO_PORT', help: `port to listen on; 0 takes a free one (default ${defaultPort})` },
  host: { value: 'NAME', env: 'THEAZO_HOST', help: 'address to listen on (default 127.0.0.1)' },
  'data-dir': { value: 'DIR', env: 'THEAZO_DATA_DIR', help: 'where all is kept (default: temporary)' },
  plan: { value: 'NAME', env: 'THEAZO_PLAN', help: `of the embedded key: ${plans.join(', ')} (default enterprise)` },
  'event-hours': { value: 'N', env: 'THEAZO_EVENT_HOURS', help: 'how long events are kept for replay (default 168)' },
  'project-mib': {
    value: 'N',
    env: 'THEAZO_PROJECT_MIB',
    help: 'records that a project may store, without files of agents (default 4096)',
  },
  'idle-timeout': {
    value: 'SECONDS',
    env: 'THEAZO_IDLE_TIMEOUT',
    help: 'terminate agents that nobody uses for so long; SECONDS:pause pauses them (default: none)',
  },
  'drain-seconds': {
    value: 'N',
    env: 'THEAZO_DRAIN_SECONDS',
    help: 'how long execs may go on after a SIGTERM (default 10)',
  },
  'keep-alive-seconds': {
    value: 'N',
    env: 'THEAZO_KEEP_ALIVE_SECONDS',
    help: 'how long a connection waits for the next request (default 75)',
  },
  'max-connections': {
    value: 'N',
    env: 'THEAZO_MAX_CONNECTIONS',
    help: 'open connections; beyond, the longest idle is closed (default: 3/4 of ulimit -n)',
  },
  'cors-origin': { value: 'ORIGIN', env: 'THEAZO_CORS_ORIGIN', help: 'web page that may call it (default: none)' },
  'public-metrics': { env: 'THEAZO_PUBLIC_METRICS', help: '/metrics answers other machines too' },
  ...sandboxFlags,
  'network-allow': {
    value: 'HOST',
    env: 'THEAZO_NETWORK_ALLOW',
    isList: true,
    help: 'agents may ask for this as network.allow, e.g. *.example.org; again for more (default: any public host)',
  },
  'no-network': { env: 'THEAZO_NO_NETWORK', help: 'no agent has a network, whatever it asks for' },
  json: { help: 'print {"url","apiKey"} on one line when ready' },
} as const satisfies Record<string, Flag>

/** For the help of the program. */
export const serveHelp: string = `theazo-server serve                the Theazo API on this machine\n\n${flagTable(flags)}`

const hourMs = 3_600_000

/** Serves until a signal to end. */
export async function serve(args: readonly string[]): Promise<void> {
  const given = readFlags(args, flags, process.env)
  const { values, nameOf, positionals } = given
  if (positionals.length > 0) throw new SetupError(`serve takes no ${positionals[0]}`)
  const eventHours = wholeNumber(nameOf('event-hours'), values['event-hours'], 1, 100_000)
  const projectMib = wholeNumber(nameOf('project-mib'), values['project-mib'], 1, 1_000_000)
  const stop = stopSignal()
  const log = logLines()
  const server = await listenTheazo({
    port: wholeNumber(nameOf('port'), values.port, 0, 65_535),
    host: values.host,
    dataDir: folderOf(given),
    plan: oneOf(nameOf('plan'), values.plan, plans),
    eventRetentionMs: eventHours === undefined ? undefined : eventHours * hourMs,
    idleTimeout: idleTimeoutOf(given),
    maxProjectBytes: projectMib === undefined ? undefined : projectMib * 1024 ** 2,
    drainTimeoutMs: (wholeNumber(nameOf('drain-seconds'), values['drain-seconds'], 0, 3600) ?? 10) * 1000,
    keepAliveTimeoutMs: (wholeNumber(nameOf('keep-alive-seconds'), values['keep-alive-seconds'], 1, 3600) ?? 75) * 1000,
    maxConnections: wholeNumber(nameOf('max-connections'), values['max-connections'], 1, 1_000_000),
    corsOrigin: values['cors-origin'],
    isMetricsPublic: values['public-metrics'] !== undefined,
    sandbox: sandboxOptionsOf(given),
    network: networkOf(given),
    replaceGlobals: true,
    log,
  })
  const { url, apiKey } = server
  const ready =
    values.json === undefined
      ? `Theazo listens on ${url}\n\n  export THEAZO_BASE_URL=${url}\n  export THEAZO_API_KEY=${apiKey}\n`
      : JSON.stringify({ url, apiKey })
  process.stdout.write(`${ready}\n`)
  await stop
  await server[Symbol.asyncDispose]()
  log.flush()
}

/** SECONDS, or SECONDS and an action. @throws {SetupError} */
function idleTimeoutOf({ values, nameOf }: Given<'idle-timeout'>): ServerOptions['idleTimeout'] {
  const [name, text] = [nameOf('idle-timeout'), values['idle-timeout']]
  if (text === undefined) return undefined
  const [seconds, action = 'terminate', ...rest] = text.split(':')
  const { min, max } = idleTimeoutBounds
  const wanted = { seconds: wholeNumber(name, seconds, min, max) ?? min, action }
  if (rest.length === 0 && (action === 'terminate' || action === 'pause')) return { ...wanted, action }
  throw new SetupError(`${name} is SECONDS or SECONDS:pause, not ${text}`)
}

/** @throws {SetupError} where both are given. */
function networkOf({ values, nameOf }: Given<'network-allow' | 'no-network'>): ServerOptions['network'] {
  const allow = values['network-allow']
  const isOff = values['no-network'] !== undefined
  if (allow !== undefined && isOff) {
    throw new SetupError(`${nameOf('network-allow')} and ${nameOf('no-network')} exclude each other`)
  }
  if (isOff) return false
  return allow === undefined ? undefined : { allow: allow.split(',') }
}

/** Resolves at the first request to end. Later ones change nothing: the same Ctrl-C often arrives more than once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve())
  })
}
