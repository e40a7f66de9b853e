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
import { isEnded } from './sandbox-lifecycle.ts'

/** The part of a pool that its sandboxes use. */
export interface PoolAccess {
  use<Result>(key: string, work: (agent: Agent) => Promise<Result>, options?: CallOptions): Promise<Result>
  /** True if this agent is still the pool's agent for the key. */
  has(key: string, agentId: string): Promise<boolean>
  evict(key: string): Promise<void>
  takeNotice(key: string): string | undefined
}

/**
 * The sandbox of a key for tools. Each call uses the key's current agent. If the agent is gone, another one is created; if
 * it is paused, it is resumed. The call is then repeated. That is safe, because such an error means that no code has
 * started.
 *
 * @example
 * ```ts
 * import { runCode } from '@theazo/core/tools'
 *
 * const sandbox = pool.source('user_123')
 * const { text } = await runCode.run({ language: 'bash', code: 'ls' }, { sandbox })
 * ```
 */
export class PooledSandbox {
  readonly #pool: PoolAccess
  readonly #key: string
  /** The agent of the last call. */
  #agent: Agent
  readonly files: SandboxFiles
  /** Prevents the release of the sandbox while a tool call runs, until the returned function is called. */
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

  /** The tasks of the current agent. */
  get tasks(): AgentTasks {
    return this.#agent.tasks
  }

  exec(lang: Language, code: string, options: ExecOptions = {}): Promise<ExecResult> {
    return this.#call((agent) => agent.exec(lang, code, options), options)
  }

  /** Starts a run of the agent's own model loop. It checks the agent first, so that no run is started twice. */
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

  /** Terminates the sandbox. The next call of the key creates another one. */
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
    canResume = true,
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
      // `use` has checked the agent, and has removed it from the pool if it is gone.
      const isGone = !(await this.#pool.has(this.#key, used.id))
      if (!isGone && !(canResume && (await resumeIfPaused(used, signal)))) throw error
      return await attempt()
    }
  }
}

/** True for the errors of an agent that is gone, before any code has started. A 409 may also mean paused or busy. */
export function mayBeGone(error: unknown): boolean {
  if (ConflictError.isInstance(error)) return error.details?.['reason'] !== 'interrupted' // the code has started
  return NotFoundError.isInstance(error)
}

/** Resumes a paused agent, and returns true if it is active. Of several concurrent calls, one resumes it. */
async function resumeIfPaused(agent: Agent, signal: AbortSignal | undefined): Promise<boolean> {
  if (agent.data.status !== 'paused') return false
  const resumed = await agent.resume({ signal }).catch((error: unknown) => {
    if (!ConflictError.isInstance(error)) throw error
    return agent.refresh({ signal })
  })
  const { status } = resumed.data
  return status === 'idle' || status === 'running'
}
