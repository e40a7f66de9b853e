import type { Agent } from '../agent.ts'
import type { CreateAgentOptions, SessionAgents } from '../agents.ts'
import type { Theazo } from '../client.ts'
import { ConflictError, NotFoundError, NotSupportedError, TimeoutError } from '../errors.ts'
import type { Session } from '../sessions.ts'
import type { IdleTimeout } from '../wire.ts'
import { idleTimeoutBounds, type SandboxPoolOptions } from './sandbox-pool-options.ts'

/** A sandbox of a pool. */
export interface PoolAgent {
  agent: Agent
  /** `created` by this pool, `found` by a stored id or a name, or `adopted` from the caller. */
  origin: 'created' | 'found' | 'adopted'
}

/** How long the pause of a released sandbox may take. After a failure, the server's idle timeout pauses it later. */
const pauseTimeoutMs = 10_000

/** How long the creation may take: longer than other requests, because a burst of creations waits for its turn. */
const createTimeoutMs = 120_000

/** Creates, finds and releases the sandboxes of a pool. */
export class SandboxLifecycle {
  readonly #theazo: Pick<Theazo, 'sessions' | 'agents'>
  readonly #options: SandboxPoolOptions
  readonly #idleTtlMs: number

  constructor(theazo: Pick<Theazo, 'sessions' | 'agents'>, options: SandboxPoolOptions, idleTtlMs: number) {
    this.#theazo = theazo
    this.#options = options
    this.#idleTtlMs = idleTtlMs
  }

  /** Finds the sandbox of a key by its stored id or its name, or creates one. */
  async acquire(key: string): Promise<PoolAgent> {
    const { recall, nameOf, onCreate } = this.#options
    const stored = await recall?.(key)
    const found = stored === undefined ? undefined : await this.#find(stored)
    if (found) return { agent: found, origin: 'found' }
    const session = await this.sessionOf(key)
    const name = await nameOf?.(key)
    const agent = await this.#create(session.agents, name)
    try {
      await onCreate?.(key, agent)
    } catch (error) {
      // Without its stored id, nobody could find this agent.
      if (agent.isNew) await agent.terminate().catch(() => {})
      throw error
    }
    return { agent, origin: agent.isNew ? 'created' : 'found' }
  }

  /** The session in which the sandbox of a key is created. */
  async sessionOf(key: string): Promise<Session> {
    const { userIdOf, sessionOf } = this.#options
    return await (sessionOf ? sessionOf(key) : this.#theazo.sessions.forUser(userIdOf?.(key) ?? key))
  }

  /** Pauses or terminates an agent. It is no fault if the agent has ended, or cannot be paused now. */
  async end(agent: Agent, action: 'pause' | 'terminate'): Promise<void> {
    if (action === 'terminate') return await agent.terminate().catch(ignore(NotFoundError))
    await agent.pause({ timeoutMs: pauseTimeoutMs }).catch(ignore(ConflictError, NotFoundError, TimeoutError))
  }

  /** Terminates, pauses or leaves a sandbox, as `onRelease` specifies. An adopted one is never changed. */
  async release({ agent, origin }: PoolAgent): Promise<void> {
    const { onRelease = 'terminate' } = this.#options
    if (origin === 'adopted') return
    if (onRelease === 'pause' && agent.data.name !== undefined) return await this.end(agent, 'pause')
    if (origin !== 'created' || (onRelease === 'leave' && agent.data.idleTimeout)) return
    await this.end(agent, 'terminate')
  }

  /** Creates an agent, with an idle timeout if the server supports that. */
  async #create(agents: Pick<SessionAgents, 'create'>, name: string | undefined): Promise<Agent> {
    const { agent: base = {}, onRelease, idleTimeoutSeconds = Math.ceil((2 * this.#idleTtlMs) / 1000) } = this.#options
    const options = { timeoutMs: createTimeoutMs, ...base, ...(name !== undefined && { name }) }
    const seconds = Math.min(Math.max(idleTimeoutSeconds, idleTimeoutBounds.min), idleTimeoutBounds.max)
    const action = onRelease === 'pause' && name !== undefined ? 'pause' : 'terminate'
    return await createIdleAgent(agents, options, { seconds, action })
  }

  /** The agent of a stored id; undefined if it has ended. */
  async #find(id: string): Promise<Agent | undefined> {
    try {
      const agent = await this.#theazo.agents.get(id)
      return isEnded(agent) ? undefined : agent
    } catch (error) {
      if (NotFoundError.isInstance(error)) return undefined
      throw error
    }
  }
}

/** Ends an agent that nobody uses or terminates, e.g. if the process was killed. */
const defaultIdleTimeout: IdleTimeout = { seconds: 1800, action: 'terminate' }

/**
 * Creates an agent with an idle timeout, and without one on a server that lacks the extension `agents`.
 *
 * @param idleTimeout default: the server terminates the agent after 30 minutes without use. An `idleTimeout` of the
 *   options, even undefined, has precedence, and then a server without the extension refuses it.
 * @throws {TheazoError} of `agents.create`.
 * @example
 * ```ts
 * const agent = await createIdleAgent(session.agents, { name: 'worker' }, { seconds: 600, action: 'pause' })
 * ```
 */
export async function createIdleAgent(
  agents: Pick<SessionAgents, 'create'>,
  options: CreateAgentOptions,
  idleTimeout: IdleTimeout = defaultIdleTimeout,
): Promise<Agent> {
  if ('idleTimeout' in options) return await agents.create(options)
  try {
    return await agents.create({ ...options, idleTimeout })
  } catch (error) {
    if (!NotSupportedError.isInstance(error)) throw error
    return await agents.create(options) // the first call sent nothing; this one throws too if the options have a name
  }
}

/** True if the agent is terminated or failed, as the server last described it. */
export function isEnded({ data: { status } }: Agent): boolean {
  return status === 'terminated' || status === 'failed'
}

/** A handler for `catch` that ignores errors of these classes. */
function ignore(...classes: { isInstance: (value: unknown) => boolean }[]): (error: unknown) => void {
  return (error) => {
    if (!classes.some((ignored) => ignored.isInstance(error))) throw error
  }
}
