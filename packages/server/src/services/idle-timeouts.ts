import type { IdleTimeout } from '@theazo/core'
import type { Clock } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { Database } from '../store/database.ts'
import { overStatuses } from './agent-lifecycle.ts'
import type { Agents } from './agents.ts'
import type { IdleClocks } from './idle-clocks.ts'
import type { Pauses } from './pauses.ts'

/** What idle timeouts need of the server. */
export interface IdleTimeoutsOptions {
  database: Database
  agents: Agents
  pauses: Pauses
  idleClocks: IdleClocks
  clock: Clock
  onError: (error: unknown) => void
}

/** Time between two sweeps: an agent is ended at most this late, however many agents are due one after another. */
const minGapMs = 1_000
/** How long an agent is left alone after its timeout could not be carried out, e.g. because the disk is full. */
const retryMs = 10_000
/** How many agents are ended at the same time: after a restart thousands may be due at once. */
const maxParallel = 4

/** Terminates or pauses agents that nobody uses (contract, Agents: `idleTimeout`). One timer serves all of them. */
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

  /** Watches the agents that an earlier process has left. They count as used until now. */
  async recover(): Promise<void> {
    const rows = await this.#options.database
      .selectFrom('agents')
      .select(['id', 'status', 'idle_timeout'])
      .where('idle_timeout', 'is not', null)
      .where('status', 'not in', overStatuses)
      .execute()
    for (const row of rows) this.#options.idleClocks.watch(row)
  }

  /** Begins to end agents. Not before recovery, which works on the same agents. */
  start(): void {
    const { idleClocks } = this.#options
    idleClocks.onCounting = (dueAt) => this.#wakeAt(dueAt)
    this.#wakeAt(idleClocks.nextDueAt())
  }

  /** Waits for what it is ending at the moment. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#stopTimer()
    await this.#sweeping
  }

  /** The timer only ever moves forward to an earlier time: uses, which make agents due later, need not touch it. */
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
    const why = `It was idle for ${seconds} s (idleTimeout).`
    const isStillDue = (): boolean => idleClocks.isDue(id)
    try {
      if (action === 'pause') await pauses.pauseIdle(id, why, isStillDue)
      else await agents.terminateIdle(id, why, isStillDue)
    } catch (error) {
      // A caller paused or ended it at the same moment.
      if (error instanceof ApiError && error.code === 'conflict') return
      idleClocks.postpone(id, retryMs)
      onError(error)
    }
  }
}
