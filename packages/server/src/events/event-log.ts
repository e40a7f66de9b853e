import { sql } from 'kysely'
import type { Clock } from '../clock.ts'
import { type Database, isTransient, type StoreTransaction } from '../store/database.ts'
import type { EventRow } from '../store/tables.ts'
import { EventHub } from './event-hub.ts'

/** Delay before the next try of a failed write. */
export const storeRetryMs = 1000
/** Limits of one read of the log: an event may be as large as a body, and a reader may be slow. */
const maxBatch = 200
const maxBatchChars = 1024 * 1024

/** One transaction of the services. Its events are published to streams after the commit. */
export interface UnitOfWork {
  readonly db: StoreTransaction
  /** Time of its start in milliseconds since the epoch, for everything that it writes. */
  readonly now: number
  /** Adds an event to the agent's log. */
  emit(agentId: string, type: string, data: object): Promise<void>
  /** Calls `run` after the commit. */
  afterCommit(run: () => void): void
}

/** The events of all agents: numbers, stores and publishes them, and reads them for replay. */
export class EventLog {
  readonly hub: EventHub = new EventHub()
  /** Called with each event after its commit. */
  onStored: (event: EventRow) => void = () => {}
  readonly #database: Database
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  readonly #closed = new AbortController()
  #latestMs = 0

  /** @param onError called with the error of a write that is retried. */
  constructor(database: Database, clock: Clock, onError: (error: unknown) => void) {
    this.#database = database
    this.#clock = clock
    this.#onError = onError
  }

  /** Runs the work in one transaction. Its changes and events become visible together, after the commit. */
  async write<Result>(work: (unit: UnitOfWork) => Promise<Result>): Promise<Result> {
    const events: EventRow[] = []
    const followUps: (() => void)[] = []
    const now = this.#clock.now()
    const result = await this.#database.transaction().execute((db) => {
      const emit = async (agentId: string, type: string, data: object): Promise<void> => {
        // If the clock was set back, a later event must not get an earlier time: pruning would leave a hole.
        this.continueAfter(now)
        events.push(await append(db, agentId, type, data, this.#latestMs))
      }
      return work({ db, now, emit, afterCommit: (run) => void followUps.push(run) })
    })
    for (const event of events) {
      this.hub.publish(event)
      this.onStored(event)
    }
    for (const run of followUps) run()
    return result
  }

  /**
   * Like {@link write}, but retries while the store cannot write. For writes that no caller would repeat.
   *
   * @param signal stops the retries.
   */
  async writeWithRetries<Result>(work: (unit: UnitOfWork) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const either = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal
    for (;;) {
      try {
        return await this.write(work)
      } catch (error) {
        if (!isTransient(error) || either.aborted) throw error
        this.#onError(error)
        await this.#waitOr(either)
      }
    }
  }

  /** New events get at least this time, which an earlier process may have used with a clock that was ahead. */
  continueAfter(ms: number): void {
    this.#latestMs = Math.max(this.#latestMs, ms)
  }

  /** Stops all retries. */
  close(): void {
    this.#closed.abort()
  }

  async #waitOr(signal: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>()
    const stop = this.#clock.after(storeRetryMs, over.resolve)
    const onAbort = (): void => over.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    await over.promise
    signal.removeEventListener('abort', onAbort)
    stop()
  }

  /** Events of an agent after a number, in order: one batch that is limited in number and size, at least one event. */
  async after(agentId: string, number: number): Promise<EventRow[]> {
    const next = this.#database
      .selectFrom('events')
      .where('agent_id', '=', agentId)
      .where('number', '>', number)
      .orderBy('number')
      .limit(maxBatch)
    const sizes = await next.select(['number', sql<number>`length(data)`.as('size')]).execute()
    let [size, last] = [0, 0]
    for (const event of sizes) {
      size += event.size
      if (last > 0 && size > maxBatchChars) break
      last = event.number
    }
    return sizes.length === 0 ? [] : await next.selectAll().where('number', '<=', last).execute()
  }

  /** Deletes events older than the given milliseconds. The numbers of later events continue. */
  async prune(olderThanMs: number): Promise<void> {
    await this.#database
      .deleteFrom('events')
      .where('created_at', '<', this.#clock.now() - olderThanMs)
      .execute()
  }
}

async function append(
  db: StoreTransaction,
  agentId: string,
  type: string,
  data: object,
  now: number,
): Promise<EventRow> {
  const { event_count: number } = await db
    .updateTable('agents')
    .set((expression) => ({ event_count: expression('event_count', '+', 1) }))
    .where('id', '=', agentId)
    .returning('event_count')
    .executeTakeFirstOrThrow()
  const row: EventRow = { agent_id: agentId, number, type, data: JSON.stringify(data), created_at: now }
  await db.insertInto('events').values(row).execute()
  return row
}
