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

/** Where the tools of an adapter work: exactly one of `agent`, `session` and `userId`. */
export interface ToolSourceOptions {
  /** A sandbox that is used as it is and never ended here, or a function that gives one at each call. */
  agent?: SandboxSource | undefined
  /** A session: its tools share one sandbox, made when one is first used. */
  session?: Session | undefined
  /** Your user: the same in that user's session. */
  userId?: string | undefined
  /** The client for `userId`. Default: `new Theazo()`, from THEAZO_API_KEY and THEAZO_BASE_URL. */
  client?: Theazo | undefined
  /**
   * The pool that the sandbox of `userId` is made in, with the options and the end that you give it. Default: one pool a
   * client, whose sandboxes have the name `tools` and are ended by the server 30 minutes after their last use.
   */
  pool?: SandboxPool | undefined
}

/** What every tool call of an adapter is given. */
export interface ToolSource {
  sandbox: SandboxSource
  account: () => Promise<ToolAccount | undefined>
}

/** The name of the sandbox that all processes share for one session. */
const sandboxName = 'tools'

/**
 * Turns the options of an adapter into a sandbox for its tool calls. Nothing is made or asked for before the first call,
 * and concurrent calls make one sandbox.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given, or without a key.
 */
export function toolSource(options: ToolSourceOptions = {}): ToolSource {
  const { agent, session, userId, client, pool } = options
  const given = Object.entries({ agent, session, userId }).filter(([, value]) => value !== undefined)
  if (given.length !== 1) {
    const names = given.map(([name]) => name).join(' and ')
    throw configurationError(`Give exactly one of agent, session and userId, not ${names || 'none'}.`)
  }
  if (pool && userId === undefined) throw configurationError('pool goes with userId alone.')
  if (agent !== undefined) {
    assertSandbox(agent)
    return { sandbox: agent, account: () => accountOfAgent(agent) }
  }
  if (session !== undefined) return ofSession(session)
  if (typeof userId !== 'string' || userId === '')
    throw configurationError('userId must be a string that is not empty.')
  const theazo = client ?? (defaultClient ??= new Theazo())
  const transport = known(transportOf(theazo), 'client')
  return {
    sandbox: pool ? pool.source(userId) : sharedPool(transport).source(`user:${userId}`),
    account: async () => accountOf(transport, await new Sessions(transport).forUser(userId)),
  }
}

/** Callers without types pass an id, a promise or a pool; without this each call of a model would say so, and nobody else. */
function assertSandbox(agent: unknown): void {
  if (typeof agent === 'function') return
  if (typeof agent === 'object' && agent !== null && 'exec' in agent && typeof agent.exec === 'function') return
  const given = Object.prototype.toString.call(agent).slice(8, -1)
  throw configurationError(
    `agent must be an agent, or a function that gives one, not ${given}. ` +
      'Await a promise; of a pool give pool.source(key); for an id give client.agent(id).',
  )
}

let defaultClient: Theazo | undefined

function ofSession(session: Session): ToolSource {
  const transport = known(transportOf(session), 'session')
  return {
    sandbox: sharedPool(transport).source(`session:${session.id}`),
    account: async () => accountOf(transport, session),
  }
}

/** Only of a client's own agent: another kind of sandbox belongs to no session. */
async function accountOfAgent(source: SandboxSource): Promise<ToolAccount | undefined> {
  const agent: ToolSandbox = typeof source === 'function' ? await source() : source
  const transport = transportOf(agent)
  if (!transport) return undefined
  const { data } = await (agent as Agent).refresh() // only a client's resources have a transport
  return accountOf(transport, new Session(transport, data.sessionId))
}

function accountOf(transport: Transport, session: Session): ToolAccount {
  return { usage: new Usage(transport), session }
}

const pools = new WeakMap<Transport, SandboxPool>()

/**
 * One a client, whatever number of tool sets is made with it: a web route makes one a request. Another process finds the
 * same sandbox by its name, so none ends it; the server does, once nobody uses it.
 */
function sharedPool(transport: Transport): SandboxPool {
  const known = pools.get(transport)
  if (known) return known
  const sessions = new Sessions(transport)
  const pool = new SandboxPool(
    { sessions, agents: new Agents(transport) },
    {
      maxSize: Number.POSITIVE_INFINITY, // entries are small and go when idle; sandboxes have limits of their own
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

function known(transport: Transport | undefined, option: string): Transport {
  if (transport) return transport
  throw configurationError(`${option} is not one of this copy of @theazo/core. Is the package installed twice?`)
}
