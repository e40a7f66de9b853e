import { type Clock, endsWithin } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { IdleClocks } from './idle-clocks.ts'

/** A call that a pause of its agent waits for: an exec, or a call that starts or resumes a task. */
export interface ActiveCall extends Disposable {
  /** Fires when the server ends the call; the reason is the answer. */
  readonly signal: AbortSignal
  /**
   * The last check of the call. From now on it counts as a use of the agent.
   *
   * @throws {ApiError} 409 if the agent was being paused when the call began.
   */
  accept(): void
}

/** The active calls of each agent, so that a pause can wait for them and a termination can stop them. */
export class AgentActivity {
  readonly #running = new Map<string, Set<AbortController>>()
  /** Agents that are being paused, with the function to call when their last active call ends. */
  readonly #pausing = new Map<string, () => void>()
  /** Agents whose calls are held back; the promise resolves when they may begin. */
  readonly #held = new Map<string, Promise<void>>()
  readonly #idleClocks: IdleClocks
  #onIdle: () => void = () => {}

  constructor(idleClocks: IdleClocks) {
    this.#idleClocks = idleClocks
  }

  /** Number of active calls. */
  get count(): number {
    let count = 0
    for (const { size } of this.#running.values()) count += size
    return count
  }

  /** Registers a call; do so before you read the agent. Waits only while the agent is {@link whileHeld held}. */
  begin(agentId: string): ActiveCall | Promise<ActiveCall> {
    const held = this.#held.get(agentId)
    return held ? held.then(() => this.begin(agentId)) : this.#begin(agentId)
  }

  /**
   * Holds back new calls of the agent during the work. They begin after it and see its result, so the work never ends a
   * call that was accepted.
   */
  async whileHeld<Result>(agentId: string, work: () => Promise<Result>): Promise<Result> {
    const decided = Promise.withResolvers<void>()
    this.#held.set(agentId, decided.promise)
    try {
      return await work()
    } finally {
      this.#held.delete(agentId)
      decided.resolve()
    }
  }

  #begin(agentId: string): ActiveCall {
    const use = this.#idleClocks.use(agentId)
    const controller = new AbortController()
    let running = this.#running.get(agentId)
    if (!running) this.#running.set(agentId, (running = new Set()))
    running.add(controller)
    const isTooLate = this.#pausing.has(agentId)
    return {
      signal: controller.signal,
      accept() {
        if (isTooLate) throw new ApiError('conflict', `Agent ${agentId} is being paused: resume it first.`)
        use.accept()
      },
      [Symbol.dispose]: () => {
        use[Symbol.dispose]()
        running.delete(controller)
        if (running.size > 0) return
        this.#running.delete(agentId)
        this.#pausing.get(agentId)?.()
        if (this.#running.size === 0) this.#onIdle()
      },
    }
  }

  /** @throws {ApiError} 409 if the agent is being paused. */
  assertNotPausing(agentId: string): void {
    if (!this.#pausing.has(agentId)) return
    throw new ApiError('conflict', `Agent ${agentId} is being paused: resume it first.`)
  }

  /** Resolves when no call is active, or after the timeout. */
  async drained(timeoutMs: number, clock: Clock): Promise<void> {
    if (this.count === 0) return
    await endsWithin(clock, timeoutMs, new Promise<void>((resolve) => (this.#onIdle = resolve)))
  }

  /** Ends all active calls of the agent; the reason is their answer. */
  stop(agentId: string, reason: ApiError): void {
    for (const controller of this.#running.get(agentId) ?? []) controller.abort(reason)
  }

  /**
   * Refuses new calls of the agent until the work ends.
   *
   * @param work receives a promise that resolves when no call is active.
   * @throws {ApiError} 409 if the agent is being paused already.
   */
  async whilePausing<Result>(agentId: string, work: (quiet: Promise<void>) => Promise<Result>): Promise<Result> {
    if (this.#pausing.has(agentId)) throw new ApiError('conflict', `Agent ${agentId} is being paused already.`)
    using _use = this.#idleClocks.use(agentId)
    const quiet = Promise.withResolvers<void>()
    this.#pausing.set(agentId, quiet.resolve)
    if (!this.#running.has(agentId)) quiet.resolve()
    try {
      return await work(quiet.promise)
    } finally {
      this.#pausing.delete(agentId)
    }
  }
}
