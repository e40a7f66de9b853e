import { join } from 'node:path'
import type { IdleTimeout } from '@theazo/core'
import { type Logger, pino } from 'pino'
import { type App, createApp } from './app.ts'
import { asSetupError } from './as-setup-error.ts'
import { type Clock, every, systemClock } from './clock.ts'
import { Egress } from './compute/local/egress/egress.ts'
import type { EnforcedLimits } from './compute/local/local-host.ts'
import { createLocalProvider } from './compute/local/local-provider.ts'
import type { SandboxOptions } from './compute/local/sandbox-options.ts'
import { createMockProvider } from './compute/mock/mock-provider.ts'
import { copiedFolder, openDataFolder } from './data-folder.ts'
import { SetupError } from './errors.ts'
import { mockedTools } from './engine/mocked-tools.ts'
import { type McpServerOptions, mcpServersOf } from './engine/mcp/mcp-options.ts'
import { McpServers } from './engine/mcp/mcp-servers.ts'
import { ModelCatalog, type ModelsOptions } from './engine/models/model-catalog.ts'
import { scriptedModel } from './engine/models/scripted-model.ts'
import { sandboxTools, ToolRegistry } from './engine/tool-registry.ts'
import type { WebSearchOptions } from './engine/web/web-search.ts'
import { webTools } from './engine/web-tools.ts'
import { EventLog } from './events/event-log.ts'
import { EventStreams } from './events/event-streams.ts'
import { InFlight } from './in-flight.ts'
import { ApiKeys } from './keys/api-keys.ts'
import { embeddedKey } from './keys/embedded-key.ts'
import type { Plan } from './keys/plan.ts'
import { RateLimiter } from './limits/rate-limiter.ts'
import { SessionLimits } from './limits/session-limits.ts'
import { Metrics } from './metrics.ts'
import { idleTimeout } from './schemas.ts'
import { agentsByStatus, idleAgentsWithoutTimeout } from './services/agent-counts.ts'
import { capabilitiesOf } from './services/agent-capabilities.ts'
import { AgentFiles } from './services/agent-files.ts'
import { Agents } from './services/agents.ts'
import { Execs } from './services/execs.ts'
import { AgentActivity } from './services/agent-activity.ts'
import { IdempotentAnswers } from './services/idempotency.ts'
import { IdleClocks } from './services/idle-clocks.ts'
import { IdleTimeouts } from './services/idle-timeouts.ts'
import { Metering } from './services/metering.ts'
import { networkBounds } from './services/network-policy.ts'
import { largestProjects, ProjectStore } from './services/project-store.ts'
import { recover, removeLeftovers } from './services/recovery.ts'
import { Pauses } from './services/pauses.ts'
import { InProcessTaskQueue, type InProcessTaskQueueOptions } from './services/in-process-task-queue.ts'
import { Runs } from './services/runs.ts'
import type { TaskQueue } from './services/task-queue.ts'
import { type ModelFor, TaskWorker } from './services/task-worker.ts'
import { Sandboxes } from './services/sandboxes.ts'
import { Sessions } from './services/sessions.ts'
import { Usage } from './services/usage.ts'
import { databaseName, openDatabase } from './store/database.ts'

/** Options of every way to run the server. */
export interface ServerOptions {
  /** Folder of the database, the embedded key and, unless the server is root, agents' files. Default: temporary. */
  dataDir?: string | undefined
  /** Plan of the embedded key. Default `enterprise`. */
  plan?: Plan | undefined
  /** Milliseconds after which an exec is killed and answered with 504. Default and maximum 120,000. */
  execTimeoutMs?: number | undefined
  /** Milliseconds that events are stored for replay. Default: a week. */
  eventRetentionMs?: number | undefined
  /** Milliseconds that execs and tasks may continue while the server closes, before it kills them. Default 0. */
  drainTimeoutMs?: number | undefined
  /** True if `/metrics` also answers other machines. Default false. */
  isMetricsPublic?: boolean | undefined
  /** Origin of a web page that may call the API from a browser. Default: none. */
  corsOrigin?: string | undefined
  /** Receives the log, one JSON object per line. Default: no log. */
  log?: { write(line: string): void } | undefined
  /** Limits of each sandbox on this machine, and sizes of the pools. */
  sandbox?: SandboxOptions | undefined
  /**
   * Hosts that agents may have in their `network.allow`, in the same format; false: no agent has network access. Default:
   * any public host.
   */
  network?: { allow: readonly string[] } | false | undefined
  /**
   * Bytes that one project may store: sessions, agents, tasks, events and answers for idempotency, but not agents' files.
   * Default 4 GiB. Above it, requests that would store more get 409 (`details.reason: 'store_full'`).
   */
  maxProjectBytes?: number | undefined
  /** `idleTimeout` of agents that are created without one. Default: none; they stay until they are terminated. */
  idleTimeout?: IdleTimeout | undefined
  /** The models of tasks. Default: none; a run on a live key is refused then. */
  models?: ModelsOptions | undefined
  /** The search service of the tool `web_search`. Default: none; agents cannot have the tool. */
  webSearch?: WebSearchOptions | undefined
  /** MCP servers whose tools agents may have as `mcp:<name>`. They run outside of the sandbox. Default: none. */
  mcpServers?: Record<string, McpServerOptions> | undefined
  /** Source of time. Default: the machine's clock. */
  clock?: Clock | undefined
}

/** A server without a port. */
export interface Server extends AsyncDisposable {
  fetch: (request: Request) => Promise<Response>
  /** Like `fetch`, for a request on a connection. Returns the answer itself if it needs no waiting. */
  answer: App['answer']
  /** The embedded key. */
  apiKey: string
  /** The keys that it accepts. */
  keys: ApiKeys
  /** The mechanism that enforces each limit of sandboxes on this machine. */
  limits: EnforcedLimits
  /** Resolves at the end of the drain time of a closing server, or earlier if nothing runs. */
  drained: Promise<void>
}

/** Parts that tests replace. */
interface OwnParts {
  modelFor?: ModelFor
  createQueue?: (parts: InProcessTaskQueueOptions) => TaskQueue
}

const maxExecTimeoutMs = 120_000
const defaultEventRetentionMs = 7 * 86_400_000
const defaultProjectBytes = 4 * 1024 ** 3
const pruneMs = 3_600_000
/** How long a closing server waits for answers after it has killed the running code. */
const lastAnswersMs = 5_000

/**
 * Opens the data folder and creates the parts of the server. On dispose it refuses new work, lets running work continue
 * for the drain time, kills the rest, waits for the answers and closes the parts.
 *
 * @param own parts that tests replace.
 * @throws {SetupError} if the machine cannot isolate sandboxes, or the data folder cannot be used; the message names the
 *   fix.
 */
export async function createServer(options: ServerOptions = {}, own: OwnParts = {}): Promise<Server> {
  const opened: AsyncDisposable[] = []
  const closeAll = async (): Promise<void> => {
    for (const part of opened.splice(0).toReversed()) await part[Symbol.asyncDispose]()
  }
  try {
    return await open(options, own, opened, closeAll)
  } catch (error) {
    await closeAll()
    throw asSetupError(error, join(options.dataDir ?? '', databaseName))
  }
}

/** @param opened receives each part to close, in the order of opening (Node 22 has no AsyncDisposableStack). */
async function open(
  options: ServerOptions,
  own: OwnParts,
  opened: AsyncDisposable[],
  closeAll: () => Promise<void>,
): Promise<Server> {
  const { clock = systemClock, drainTimeoutMs = 0 } = options
  if (options.idleTimeout && !idleTimeout.safeParse(options.idleTimeout).success) {
    throw new SetupError("idleTimeout must be { seconds, action }: 60 to 604,800 seconds, 'terminate' or 'pause'.")
  }
  const log = pino({ level: options.log ? 'info' : 'silent', base: null }, options.log ?? { write() {} })
  const onError = backgroundErrors(log)
  const mcp = new McpServers(mcpServersOf(options.mcpServers), (server, fault) =>
    log.warn({ server, fault }, 'an MCP server does not answer: tasks run without its tools'),
  )
  opened.push(mcp)
  const folder = await openDataFolder(options.dataDir)
  opened.push(folder)
  if (folder.isCopy) log.warn(copiedFolder)
  const database = await openDatabase(join(folder.path, databaseName), folder.isTemporary)
  opened.push(closing(() => database.destroy()))
  const keys = new ApiKeys(database)
  const apiKey = await embeddedKey(folder.path)
  await keys.setEmbedded(apiKey, options.plan ?? 'enterprise')
  const inFlight = new InFlight()
  opened.push(closing(() => inFlight.drained(lastAnswersMs)))
  const metrics = new Metrics({
    execs: () => activity.count,
    waitingExecs: () => execs.waiting,
    waitingStarts: () => local.waitingStarts,
    tasks: () => worker.count,
    streams: () => streams.count,
    agents: () => agentsByStatus(database),
    idleWithoutTimeout: () => idleAgentsWithoutTimeout(database),
    projects: () => largestProjects(database),
  })
  const network = networkBounds(options.network)
  const egress =
    network &&
    new Egress({
      folderPath: folder.egressPath,
      scratchPath: folder.scratchPath,
      operator: network,
      log,
      onEnd: (record) => metrics.egressEnded(record),
      onLost: () => metrics.egressProxyLost(),
    })
  if (egress) opened.push(egress)
  const local = await createLocalProvider({ ...folder, sandbox: options.sandbox, egress, onError })
  opened.push(local)
  const sandboxes = new Sandboxes({ live: local, test: createMockProvider() })

  const events = new EventLog(database, clock, onError)
  const store = new ProjectStore(options.maxProjectBytes ?? defaultProjectBytes)
  const answers = new IdempotentAnswers(database, store, clock, onError)
  const metering = new Metering({
    database,
    events,
    clock,
    sizeOf: (id) => local.sizeOf(id),
    writers: () => local.writers(),
    onError,
  })
  const limits = new SessionLimits({ database, events, clock, onError })
  const sessions = new Sessions(database, limits, store, clock)
  const idleClocks = new IdleClocks(clock)
  const activity = new AgentActivity(idleClocks)
  const execTimeoutMs = Math.min(options.execTimeoutMs ?? maxExecTimeoutMs, maxExecTimeoutMs)
  const shared = { database, events, limits, store, sandboxes, activity, clock, onError }
  const execs = new Execs({ ...shared, metering, execTimeoutMs })
  const files = new AgentFiles(execs)
  const models = new ModelCatalog(options.models)
  // Test keys have the scripted model.
  const modelFor: ModelFor = own.modelFor ?? ((mode, id) => (mode === 'test' ? scriptedModel : models.find(id)))
  const live = [...sandboxTools, ...webTools(network, options.webSearch)]
  const tools = { live: new ToolRegistry(live, mcp), test: new ToolRegistry(mockedTools(mcp.groups)) }
  const capabilities = capabilitiesOf(models, { live: tools.live.names, test: tools.test.names })
  const queue = own.createQueue?.({ database, onError }) ?? new InProcessTaskQueue({ database, onError })
  const worker = new TaskWorker({ ...shared, execs, modelFor, tools, observer: metrics.engine })
  const runs = new Runs({ ...shared, queue, worker, modelFor })
  const agents = new Agents({ ...shared, idleClocks, runs, network, capabilities, idleTimeout: options.idleTimeout })
  const pauses = new Pauses({ ...shared, runs, worker })
  worker.onSuspended = (agentId, taskId, cause) => pauses.pauseSuspended(agentId, taskId, cause)
  limits.onReached = (sessionId, message) => pauses.pauseForLimit(sessionId, message)
  const usage = new Usage({ database, sessions, keys, clock })
  const streams = new EventStreams(events, clock, idleClocks)
  const idleTimeouts = new IdleTimeouts({ database, agents, pauses, idleClocks, clock, onError })

  events.onStored = (event) => {
    metrics.eventStored()
    idleClocks.follow(event)
  }
  await idleTimeouts.recover() // before tasks continue, so that it sees every change of a status
  await recover({ database, events, sandboxes, limits, queue, worker, metering, onError })
  const retentionMs = options.eventRetentionMs ?? defaultEventRetentionMs
  await events.prune(retentionMs)
  const stopPruning = every(clock, pruneMs, async () => {
    await events.prune(retentionMs).catch(onError)
    await removeLeftovers(database, sandboxes).catch(onError)
  })
  metering.start()
  idleTimeouts.start()

  let isClosing = false
  const drained = Promise.withResolvers<void>()
  const unreadyBecause = async (): Promise<string | undefined> => {
    if (isClosing) return 'the server is shutting down'
    return await agentsByStatus(database).then(
      () => undefined,
      () => 'the database does not answer',
    )
  }
  const { isMetricsPublic = false, corsOrigin } = options
  const parts = { log, database, keys, answers, sessions, agents, files, pauses, execs, runs, streams, usage, metrics }
  const limiter = new RateLimiter(() => clock.monotonic())
  const onContinuingWork = (work: Promise<unknown>): void => inFlight.hold(work)
  const shown = { isMetricsPublic, corsOrigin, unreadyBecause, isClosing: () => isClosing }
  const app = createApp({ ...parts, ...shown, limiter, clock, onError, onContinuingWork })
  const answer: App['answer'] = (request, connection) => inFlight.track(() => app.answer(request, connection))

  // Parts are closed in reverse order: the last one here closes first.
  opened.push(
    closing(async () => inFlight.close()),
    metering,
    answers,
    closing(stopPruning),
    closing(async () => events.close()),
    closing(async () => limits.close()),
    closing(async () => drained.resolve()),
    closing(async () => {
      await Promise.all([activity.drained(drainTimeoutMs, clock), runs.close(drainTimeoutMs)])
    }),
    streams,
    idleTimeouts,
    closing(async () => void (isClosing = true)),
  )
  return {
    apiKey,
    keys,
    limits: local.limits,
    drained: drained.promise,
    fetch: async (request) => await answer(request),
    answer,
    [Symbol.asyncDispose]: closeAll,
  }
}

function closing(close: () => Promise<void>): AsyncDisposable {
  return { [Symbol.asyncDispose]: close }
}

function backgroundErrors(log: Logger): (error: unknown) => void {
  return (err) => log.error({ err }, 'work in the background failed')
}
