import type { Agent } from '../agent.ts'
import { ConflictError, NotFoundError } from '../errors.ts'
import type { ExecOptions } from '../exec/exec-options.ts'
import { SandboxFiles } from '../files/files.ts'
import type { Run } from '../runs/run.ts'
import type { RunOptions } from '../runs/run-source.ts'
import type { AgentTasks } from '../runs/tasks.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import { setTransport, transportOf } from '../transport/transport-of.ts'
import type { ExecResult, Language } from '../wire.ts'
import { isEnded } from './sandbox-maker.ts'

/** What a pooled sandbox asks of its pool. */
export interface PoolAccess {
  use<Result>(key: string, work: (agent: Agent) => Promise<Result>, options?: CallOptions): Promise<Result>
  /** True if the pool still has this agent for the key. */
  has(key: string, agentId: string): Promise<boolean>
  evict(key: string): Promise<void>
  takeNotice(key: string): string | undefined
}

/**
 * The sandbox of a key, whichever that is at the time of a call. One that is gone is made anew, one that is paused is
 * resumed, and then the call is made again: a 409 that is answered before code has begun makes that safe.
 */
export class PooledSandbox {
  readonly #pool: PoolAccess
  readonly #key: string
  /** The key's agent when it was last used by this. */
  #agent: Agent
  readonly files: SandboxFiles
  /** Keeps the sandbox from being let go while a tool call runs, until the answer is called. */
  readonly hold: () => () => void

  constructor(pool: PoolAccess, key: string, agent: Agent, hold: () => () => void) {
    this.#pool = pool
    this.hold = hold
    this.#key = key
    this.#agent = agent
    const transport = transportOf(agent)
    if (transport) setTransport(this, transport)
    this.files = new SandboxFiles(this, {
      hasLargeCode: () => transport?.features.areAdvertised ?? false,
      hasStdin: () => transport?.features.has('exec-stdin') ?? false,
    })
  }

  get id(): string {
    return this.#agent.id
  }

  /** The tasks of that agent. */
  get tasks(): AgentTasks {
    return this.#agent.tasks
  }

  exec(lang: Language, code: string, options: ExecOptions = {}): Promise<ExecResult> {
    return this.#call((agent) => agent.exec(lang, code, options), options)
  }

  /** Starts a run of the agent's own model loop, after a look at the agent: a run is not started twice. */
  run(task: string, options: RunOptions = {}): Promise<Run> {
    const { signal } = options
    return this.#call(
      async (agent) => {
        await agent.refresh({ signal })
        const { status } = agent.data
        if (isEnded(agent) || status === 'paused') {
          throw new ConflictError(`Agent ${agent.id} is ${status}.`, { code: 'conflict', status: 409 })
        }
        return agent.run(task, options)
      },
      { signal },
    )
  }

  refresh(options?: CallOptions): Promise<Agent> {
    return this.#agent.refresh(options)
  }

  pause(options: CallOptions = {}): Promise<Agent> {
    return this.#call((agent) => agent.pause(options), options, false)
  }

  resume(options: CallOptions = {}): Promise<Agent> {
    return this.#call((agent) => agent.resume(options), options, false)
  }

  /** Ends the sandbox; the next call of the key makes another one. */
  async terminate(options?: CallOptions): Promise<void> {
    await this.#agent.terminate(options)
    if (await this.#pool.has(this.#key, this.id)) await this.#pool.evict(this.#key)
  }

  takeNotice(): string | undefined {
    return this.#pool.takeNotice(this.#key)
  }

  async #call<Result>(
    work: (agent: Agent) => Promise<Result>,
    { signal }: Pick<CallOptions, 'signal'>,
    isToResume = true,
  ): Promise<Result> {
    let used: Agent | undefined
    const attempt = (): Promise<Result> =>
      this.#pool.use(
        this.#key,
        (agent) => {
          used = this.#agent = agent
          return work(agent)
        },
        { signal },
      )
    try {
      return await attempt()
    } catch (error) {
      if (!used || !mayBeGone(error)) throw error
      // `use` has looked at the agent, and has let it go if it is gone.
      const isGone = !(await this.#pool.has(this.#key, used.id))
      if (!isGone && !(isToResume && (await isResumed(used, signal)))) throw error
      return await attempt()
    }
  }
}

/** True for an answer that an agent gives which is gone, before any code has begun; a 409 may also say paused or busy. */
export function mayBeGone(error: unknown): boolean {
  if (ConflictError.isInstance(error)) return error.details?.['reason'] !== 'interrupted' // the code has begun
  return NotFoundError.isInstance(error)
}

/** Resumes a paused agent; several calls may find out at once, and one of them does it. */
async function isResumed(agent: Agent, signal: AbortSignal | undefined): Promise<boolean> {
  if (agent.data.status !== 'paused') return false
  const resumed = await agent.resume({ signal }).catch((error: unknown) => {
    if (!ConflictError.isInstance(error)) throw error
    return agent.refresh({ signal })
  })
  const { status } = resumed.data
  return status === 'idle' || status === 'running'
}
