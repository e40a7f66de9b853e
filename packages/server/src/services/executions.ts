import { type Clock, endsWithin } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { IdleClocks } from './idle-clocks.ts'

/** Something that a pause of its agent waits for: an exec, or a call that lets a task begin or go on. */
export interface Execution extends Disposable {
  /** Fires when the server ends it; the reason is the answer. */
  readonly signal: AbortSignal
  /**
   * The last check before it works: from here on it counts as a use of the agent.
   *
   * @throws {ApiError} 409 where the agent was on its way to pause when this began.
   */
  accept(): void
}

/** What runs in each agent, so that a pause can wait for it and an end can stop it. */
export class Executions {
  readonly #running = new Map<string, Set<AbortController>>()
  /** Agents on their way to pause, and who waits for their last execution to end. */
  readonly #pausing = new Map<string, () => void>()
  /** Agents of which it is being decided whether they end; resolves when that is decided. */
  readonly #held = new Map<string, Promise<void>>()
  readonly #idleClocks: IdleClocks
  #onIdle: () => void = () => {}

  constructor(idleClocks: IdleClocks) {
    this.#idleClocks = idleClocks
  }

  /** How many run now. */
  get count(): number {
    let count = 0
    for (const { size } of this.#running.values()) count += size
    return count
  }

  /** Must come before the agent is read. Waits only while the agent is {@link whileHeld held}. */
  begin(agentId: string): Execution | Promise<Execution> {
    const held = this.#held.get(agentId)
    return held ? held.then(() => this.begin(agentId)) : this.#begin(agentId)
  }

  /**
   * Nothing begins in the agent during the work, and what wants to waits: it then finds the agent as the work has left
   * it. So nothing is accepted that the work ends.
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

  #begin(agentId: string): Execution {
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

  /** @throws {ApiError} 409 where the agent is on its way to pause. */
  assertNotPausing(agentId: string): void {
    if (!this.#pausing.has(agentId)) return
    throw new ApiError('conflict', `Agent ${agentId} is being paused: resume it first.`)
  }

  /** Resolves when nothing runs any more, or after so long. */
  async drained(timeoutMs: number, clock: Clock): Promise<void> {
    if (this.count === 0) return
    await endsWithin(clock, timeoutMs, new Promise<void>((resolve) => (this.#onIdle = resolve)))
  }

  /** Ends all that runs in the agent; each is answered with the reason. */
  stop(agentId: string, reason: ApiError): void {
    for (const controller of this.#running.get(agentId) ?? []) controller.abort(reason)
  }

  /** Nothing begins in the agent until the given work has ended. @throws {ApiError} 409 where it is paused already. */
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
