import type { Agent } from '../agent.ts'
import { Agents } from '../agents.ts'
import { Theazo } from '../client.ts'
import { configurationError } from '../errors.ts'
import { SandboxPool } from '../pool/sandbox-pool.ts'
import { Session, Sessions } from '../sessions.ts'
import type { Transport } from '../transport/transport.ts'
import { transportOf } from '../transport/transport-of.ts'
import { Usage } from '../usage.ts'
import type { SandboxSource, ToolAccount, ToolSandbox } from './tool-sandbox.ts'

/** Options of an adapter that select the sandbox of its tools: exactly one of `agent`, `session` and `userId`. */
export interface ToolSourceOptions {
  /** A sandbox, or a function that returns one for each call. The adapter never terminates it. */
  agent?: SandboxSource | undefined
  /** A session. Its tools share one sandbox, which is created at the first call. */
  session?: Session | undefined
  /** The id of your user. The tools share one sandbox in that user's session, which is created at the first call. */
  userId?: string | undefined
  /** The client for `userId`. Default: `new Theazo()`, from THEAZO_API_KEY and THEAZO_BASE_URL. */
  client?: Theazo | undefined
  /**
   * The pool for the sandbox of `userId`. You set its options and dispose it. Default: one pool for each client. Its
   * sandboxes have the name `tools`, and the server terminates them 30 minutes after their last use.
   */
  pool?: SandboxPool | undefined
}

/** The options that an adapter passes to every tool call. */
export interface ToolSource {
  sandbox: SandboxSource
  account: () => Promise<ToolAccount | undefined>
}

/** The name of the one sandbox per session that all processes share. */
const sandboxName = 'tools'

/**
 * Turns the options of an adapter into a sandbox source for its tool calls. It makes no request before the first call, and
 * concurrent calls create one sandbox.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given, or without an API key.
 * @example
 * ```ts
 * import { runCode, toolSource } from '@theazo/core/tools'
 *
 * const source = toolSource({ userId: 'user_123', client: theazo })
 * const { text } = await runCode.run({ language: 'bash', code: 'ls' }, source)
 * ```
 */
export function toolSource(options: ToolSourceOptions = {}): ToolSource {
  const { agent, session, userId, client, pool } = options
  const given = Object.entries({ agent, session, userId }).filter(([, value]) => value !== undefined)
  if (given.length !== 1) {
    const names = given.map(([name]) => name).join(' and ')
    throw configurationError(`Give exactly one of agent, session and userId, not ${names || 'none'}.`)
  }
  if (pool && userId === undefined) throw configurationError('pool is valid only with userId.')
  if (agent !== undefined) {
    assertSandbox(agent)
    return { sandbox: agent, account: () => accountOfAgent(agent) }
  }
  if (session !== undefined) return ofSession(session)
  if (typeof userId !== 'string' || userId === '')
    throw configurationError('userId must be a string that is not empty.')
  const theazo = client ?? (defaultClient ??= new Theazo())
  const transport = requireTransport(transportOf(theazo), 'client')
  return {
    sandbox: pool ? pool.source(userId) : sharedPool(transport).source(`user:${userId}`),
    account: async () => accountOf(transport, await new Sessions(transport).forUser(userId)),
  }
}

/** Untyped callers may pass an id, a promise or a pool. Without this check, only the model would see the error. */
function assertSandbox(agent: unknown): void {
  if (typeof agent === 'function') return
  if (typeof agent === 'object' && agent !== null && 'exec' in agent && typeof agent.exec === 'function') return
  const given = Object.prototype.toString.call(agent).slice(8, -1)
  throw configurationError(
    `agent must be an agent, or a function that returns one, not ${given}. ` +
      'Await a promise; for a pool pass pool.source(key); for an id pass client.agent(id).',
  )
}

let defaultClient: Theazo | undefined

function ofSession(session: Session): ToolSource {
  const transport = requireTransport(transportOf(session), 'session')
  return {
    sandbox: sharedPool(transport).source(`session:${session.id}`),
    account: async () => accountOf(transport, session),
  }
}

/** The account of an agent of this client; undefined for other kinds of sandboxes, which have no session. */
async function accountOfAgent(source: SandboxSource): Promise<ToolAccount | undefined> {
  const agent: ToolSandbox = typeof source === 'function' ? await source() : source
  const transport = transportOf(agent)
  if (!transport) return undefined
  const { data } = await (agent as Agent).refresh() // only agents of the client have a transport
  return accountOf(transport, new Session(transport, data.sessionId))
}

function accountOf(transport: Transport, session: Session): ToolAccount {
  return { usage: new Usage(transport), session }
}

const pools = new WeakMap<Transport, SandboxPool>()

/**
 * The default pool of a client. All tool sets share it, because a web route creates a tool set for each request.
 * Another process may use the same sandbox by its name, so the pool never terminates it. The server terminates it when
 * it is idle.
 */
function sharedPool(transport: Transport): SandboxPool {
  const existing = pools.get(transport)
  if (existing) return existing
  const sessions = new Sessions(transport)
  const pool = new SandboxPool(
    { sessions, agents: new Agents(transport) },
    {
      maxSize: Number.POSITIVE_INFINITY, // entries are small and are removed when idle; sessions limit their sandboxes
      onRelease: 'leave',
      nameOf: async () => ((await transport.features.isSupported('agents', {})) ? sandboxName : undefined),
      async sessionOf(key) {
        const id = key.slice(key.indexOf(':') + 1)
        return key.startsWith('user:') ? await sessions.forUser(id) : new Session(transport, id)
      },
    },
  )
  pools.set(transport, pool)
  return pool
}

function requireTransport(transport: Transport | undefined, option: string): Transport {
  if (transport) return transport
  throw configurationError(
    `${option} must come from this copy of @theazo/core. Check whether the package is installed twice.`,
  )
}
