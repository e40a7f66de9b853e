import type { Agent } from '../agent.ts'
import type { CreateAgentOptions, SessionAgents } from '../agents.ts'
import type { Theazo } from '../client.ts'
import { ConflictError, NotFoundError, NotSupportedError, TimeoutError } from '../errors.ts'
import type { IdleTimeout } from '../wire.ts'
import { idleTimeoutBounds, type SandboxPoolOptions } from './sandbox-pool-options.ts'

/** A sandbox of a pool. */
export interface MadeSandbox {
  agent: Agent
  /** `made` by this pool, `found` by a stored id or a name, or `given` to it by its caller. */
  origin: 'made' | 'found' | 'given'
}

/** How long a pause may take when a sandbox is let go; the server's idle timeout does it later otherwise. */
const pauseTimeoutMs = 10_000

/** Makes the sandboxes of a pool, and lets them go. */
export class SandboxMaker {
  readonly #theazo: Pick<Theazo, 'sessions' | 'agents'>
  readonly #options: SandboxPoolOptions
  readonly #idleTtlMs: number

  constructor(theazo: Pick<Theazo, 'sessions' | 'agents'>, options: SandboxPoolOptions, idleTtlMs: number) {
    this.#theazo = theazo
    this.#options = options
    this.#idleTtlMs = idleTtlMs
  }

  async make(key: string): Promise<MadeSandbox> {
    const { recall, nameOf, userIdOf, sessionOf, onCreate } = this.#options
    const stored = await recall?.(key)
    const found = stored === undefined ? undefined : await this.#find(stored)
    if (found) return { agent: found, origin: 'found' }
    const session = await (sessionOf ? sessionOf(key) : this.#theazo.sessions.forUser(userIdOf?.(key) ?? key))
    const name = await nameOf?.(key)
    const agent = await this.#create(session.agents, name)
    try {
      await onCreate?.(key, agent)
    } catch (error) {
      // Nobody would know of it any more.
      if (agent.isNew) await agent.terminate().catch(() => {})
      throw error
    }
    return { agent, origin: agent.isNew ? 'made' : 'found' }
  }

  /** Ends, pauses or leaves a sandbox, as `onRelease` says. One that was given is left alone. */
  async release({ agent, origin }: MadeSandbox): Promise<void> {
    const { onRelease = 'terminate' } = this.#options
    if (origin === 'given') return
    if (onRelease === 'pause' && agent.data.name !== undefined) {
      await agent.pause({ timeoutMs: pauseTimeoutMs }).catch(unless(ConflictError, NotFoundError, TimeoutError))
      return
    }
    if (origin !== 'made' || (onRelease === 'leave' && agent.data.idleTimeout)) return
    await agent.terminate().catch(unless(NotFoundError))
  }

  /** With an idle timeout, unless the server has none. */
  async #create(agents: Pick<SessionAgents, 'create'>, name: string | undefined): Promise<Agent> {
    const { agent: given = {}, onRelease, idleTimeoutSeconds = Math.ceil((2 * this.#idleTtlMs) / 1000) } = this.#options
    const options = { ...given, ...(name !== undefined && { name }) }
    if ('idleTimeout' in given) return await agents.create(options)
    const seconds = Math.min(Math.max(idleTimeoutSeconds, idleTimeoutBounds.min), idleTimeoutBounds.max)
    const action = onRelease === 'pause' && name !== undefined ? 'pause' : 'terminate'
    return await createIdleAgent(agents, options, { seconds, action })
  }

  /** The agent of a stored id, if it lives. */
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

/**
 * Creates an agent with an idle timeout, and without one on a server that lacks the extension `agents`.
 *
 * @throws {TheazoError} of `agents.create`.
 * @example
 * ```ts
 * const agent = await createIdleAgent(session.agents, {}, { seconds: 1800, action: 'terminate' })
 * ```
 */
export async function createIdleAgent(
  agents: Pick<SessionAgents, 'create'>,
  options: CreateAgentOptions,
  idleTimeout: IdleTimeout,
): Promise<Agent> {
  try {
    return await agents.create({ ...options, idleTimeout })
  } catch (error) {
    if (!NotSupportedError.isInstance(error)) throw error
    return await agents.create(options) // nothing was sent; with a name this says that it cannot be sent either
  }
}

/** True if the agent is of no use any more, as the server last described it. */
export function isEnded({ data: { status } }: Agent): boolean {
  return status === 'terminated' || status === 'failed'
}

function unless(...classes: { isInstance: (value: unknown) => boolean }[]): (error: unknown) => void {
  return (error) => {
    if (!classes.some((known) => known.isInstance(error))) throw error
  }
}
