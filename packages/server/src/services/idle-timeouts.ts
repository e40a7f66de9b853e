import type { IdleTimeout } from '@theazo/core'
import type { Clock } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { Database } from '../store/database.ts'
import { overStatuses } from './agent-lifecycle.ts'
import type { Agents } from './agents.ts'
import type { IdleClocks } from './idle-clocks.ts'
import type { Pauses } from './pauses.ts'

/** The parts of the server that {@link IdleTimeouts} uses. */
export interface IdleTimeoutsOptions {
  database: Database
  agents: Agents
  pauses: Pauses
  idleClocks: IdleClocks
  clock: Clock
  onError: (error: unknown) => void
}

/** Minimum time between two sweeps. An agent ends at most this late. */
const minGapMs = 1_000
/** Delay before the next try if a timeout could not be carried out, e.g. because the disk is full. */
const retryMs = 10_000
/** Maximum number of agents that are ended in parallel: after a restart thousands may be due. */
const maxParallel = 4

/** Terminates or pauses unused agents (contract, Agents: `idleTimeout`). One timer serves all agents. */
export class IdleTimeouts implements AsyncDisposable {
  readonly #options: IdleTimeoutsOptions
  #stopTimer: () => void = () => {}
  /** When the timer fires; infinite without a timer. */
  #wakesAt = Number.POSITIVE_INFINITY
  #lastSweepAt = Number.NEGATIVE_INFINITY
  #sweeping: Promise<void> | undefined
  #isClosed = false

  constructor(options: IdleTimeoutsOptions) {
    this.#options = options
  }

  /** Watches the agents of an earlier process. Their idle time starts now. */
  async recover(): Promise<void> {
    const rows = await this.#options.database
      .selectFrom('agents')
      .select(['id', 'status', 'idle_timeout'])
      .where('idle_timeout', 'is not', null)
      .where('status', 'not in', overStatuses)
      .execute()
    for (const row of rows) this.#options.idleClocks.watch(row)
  }

  /** Starts the timer. Call it after recovery, which works on the same agents. */
  start(): void {
    const { idleClocks } = this.#options
    idleClocks.onCounting = (dueAt) => this.#wakeAt(dueAt)
    this.#wakeAt(idleClocks.nextDueAt())
  }

  /** Stops the timer and waits for the sweep in progress. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#stopTimer()
    await this.#sweeping
  }

  /** Moves the timer to an earlier time only. Uses make agents due later, and need not touch the timer. */
  #wakeAt(dueAt: number): void {
    const at = Math.max(dueAt, this.#lastSweepAt + minGapMs)
    if (this.#isClosed || this.#sweeping || at >= this.#wakesAt) return
    const { clock } = this.#options
    this.#stopTimer()
    this.#wakesAt = at
    this.#stopTimer = clock.after(Math.ceil(at - clock.monotonic()), () => {
      this.#wakesAt = Number.POSITIVE_INFINITY
      this.#sweeping = this.#sweep().finally(() => {
        this.#sweeping = undefined
        this.#wakeAt(this.#options.idleClocks.nextDueAt())
      })
    })
  }

  /** Never rejects. */
  async #sweep(): Promise<void> {
    const { clock, idleClocks } = this.#options
    this.#lastSweepAt = clock.monotonic()
    const due = idleClocks.due()
    const work = async (): Promise<void> => {
      for (let next = due.pop(); next && !this.#isClosed; next = due.pop()) await this.#end(next.id, next.timeout)
    }
    await Promise.all(Array.from({ length: maxParallel }, work))
  }

  async #end(id: string, { seconds, action }: IdleTimeout): Promise<void> {
    const { agents, pauses, idleClocks, onError } = this.#options
    const reason = `It was idle for ${seconds} s (idleTimeout).`
    const isStillDue = (): boolean => idleClocks.isDue(id)
    try {
      if (action === 'pause') await pauses.pauseIdle(id, reason, isStillDue)
      else await agents.terminateIdle(id, reason, isStillDue)
    } catch (error) {
      // A caller paused or terminated it at the same moment.
      if (error instanceof ApiError && error.code === 'conflict') return
      idleClocks.postpone(id, retryMs)
      onError(error)
    }
  }
}
