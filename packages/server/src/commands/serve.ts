import { SetupError } from '../errors.ts'
import { plans } from '../keys/plan.ts'
import { defaultPort, listenTheazo } from '../listen.ts'
import { type Flag, flagTable, folderOf, type Given, oneOf, readFlags, wholeNumber } from './flags.ts'
import { idleTimeoutBounds } from '../schemas.ts'
import type { ServerOptions } from '../server.ts'
import { logLines } from './log-lines.ts'
import { mcpFlags, mcpServersFrom } from './mcp-config.ts'
import { modelFlags, modelKeysHelp, modelsOptionsOf, webSearchOf } from './model-flags.ts'
import { sandboxFlags, sandboxOptionsOf } from './sandbox-flags.ts'

const flags = {
  port: { value: 'N', env: 'THEAZO_PORT', help: `port to listen on; 0 chooses a free one (default ${defaultPort})` },
  host: { value: 'NAME', env: 'THEAZO_HOST', help: 'address to listen on (default 127.0.0.1)' },
  'data-dir': { value: 'DIR', env: 'THEAZO_DATA_DIR', help: 'folder for all data (default: temporary)' },
  plan: {
    value: 'NAME',
    env: 'THEAZO_PLAN',
    help: `plan of the embedded key: ${plans.join(', ')} (default enterprise)`,
  },
  'event-hours': { value: 'N', env: 'THEAZO_EVENT_HOURS', help: 'how long events are stored for replay (default 168)' },
  'project-mib': {
    value: 'N',
    env: 'THEAZO_PROJECT_MIB',
    help: "records that a project may store, not counting agents' files (default 4096)",
  },
  'idle-timeout': {
    value: 'SECONDS',
    env: 'THEAZO_IDLE_TIMEOUT',
    help: 'terminate agents that are unused for SECONDS; SECONDS:pause pauses them (default: none)',
  },
  'drain-seconds': {
    value: 'N',
    env: 'THEAZO_DRAIN_SECONDS',
    help: 'how long execs and tasks may continue after a SIGTERM (default 10)',
  },
  'keep-alive-seconds': {
    value: 'N',
    env: 'THEAZO_KEEP_ALIVE_SECONDS',
    help: 'how long a connection waits for the next request (default 75)',
  },
  'max-connections': {
    value: 'N',
    env: 'THEAZO_MAX_CONNECTIONS',
    help: 'maximum open connections; above it the one that is idle longest is closed (default: 3/4 of ulimit -n)',
  },
  'cors-origin': {
    value: 'ORIGIN',
    env: 'THEAZO_CORS_ORIGIN',
    help: 'origin of a web page that may call the API (default: none)',
  },
  'public-metrics': { env: 'THEAZO_PUBLIC_METRICS', help: '/metrics also answers other machines' },
  ...modelFlags,
  ...mcpFlags,
  ...sandboxFlags,
  'network-allow': {
    value: 'HOST',
    env: 'THEAZO_NETWORK_ALLOW',
    isList: true,
    help: 'host that agents may have in network.allow, e.g. *.example.org; may be repeated (default: any public host)',
  },
  'no-network': { env: 'THEAZO_NO_NETWORK', help: 'no agent has network access' },
  json: { help: 'print {"url","apiKey"} on one line when ready' },
} as const satisfies Record<string, Flag>

/** Help text of `serve`. */
export const serveHelp: string = `theazo-server serve                run the Theazo API on this machine\n\n${flagTable(flags)}

${modelKeysHelp}`

const hourMs = 3_600_000

/** The `serve` command: runs the server until SIGINT, SIGTERM or SIGHUP. @throws {SetupError} */
export async function serve(args: readonly string[]): Promise<void> {
  const given = readFlags(args, flags, process.env)
  const { values, nameOf, positionals } = given
  if (positionals.length > 0) throw new SetupError(`serve accepts no argument ${positionals[0]}`)
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
    models: modelsOptionsOf(given, process.env),
    webSearch: webSearchOf(process.env),
    mcpServers: await mcpServersFrom(given),
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

/** Parses SECONDS or SECONDS:ACTION. @throws {SetupError} */
function idleTimeoutOf({ values, nameOf }: Given<'idle-timeout'>): ServerOptions['idleTimeout'] {
  const [name, text] = [nameOf('idle-timeout'), values['idle-timeout']]
  if (text === undefined) return undefined
  const [seconds, action = 'terminate', ...rest] = text.split(':')
  const { min, max } = idleTimeoutBounds
  const wanted = { seconds: wholeNumber(name, seconds, min, max) ?? min, action }
  if (rest.length === 0 && (action === 'terminate' || action === 'pause')) return { ...wanted, action }
  throw new SetupError(`${name} must be SECONDS or SECONDS:pause, not ${text}`)
}

/** @throws {SetupError} if both flags are given. */
function networkOf({ values, nameOf }: Given<'network-allow' | 'no-network'>): ServerOptions['network'] {
  const allow = values['network-allow']
  const isOff = values['no-network'] !== undefined
  if (allow !== undefined && isOff) {
    throw new SetupError(`${nameOf('network-allow')} and ${nameOf('no-network')} exclude each other: give only one`)
  }
  if (isOff) return false
  return allow === undefined ? undefined : { allow: allow.split(',') }
}

/** Resolves at the first signal. Later signals are ignored: one Ctrl-C often arrives more than once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve())
  })
}
