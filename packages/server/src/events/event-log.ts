import { sql } from 'kysely'
import type { Clock } from '../clock.ts'
import { type Database, isPassing, type StoreTransaction } from '../store/database.ts'
import type { EventRow } from '../store/tables.ts'
import { EventHub } from './event-hub.ts'

/** How long a store that cannot write is left alone. */
export const storeRetryMs = 1000
/** What is read of a log at once: an event may be as large as a body, and a reader slow. */
const maxBatch = 200
const maxBatchChars = 1024 * 1024

/** One transaction of the services. What it emits is told to streams once it is kept. */
export interface Unit {
  readonly db: StoreTransaction
  /** Milliseconds since the epoch at its start: one time for all it writes. */
  readonly now: number
  /** Adds an event to the agent's log. */
  emit(agentId: string, type: string, data: object): Promise<void>
  /** Runs once the transaction is kept. */
  afterwards(run: () => void): void
}

/** Every agent's events: numbered, kept, replayed, and told to those who listen. */
export class EventLog {
  readonly hub: EventHub = new EventHub()
  /** Called for each event that is kept. */
  onKept: (event: EventRow) => void = () => {}
  readonly #database: Database
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  readonly #closed = new AbortController()
  #latestMs = 0

  /** @param onError is told why a write must be tried again. */
  constructor(database: Database, clock: Clock, onError: (error: unknown) => void) {
    this.#database = database
    this.#clock = clock
    this.#onError = onError
  }

  /** Runs the work in one transaction; nothing of it, events included, is seen before all of it is kept. */
  async write<Result>(work: (unit: Unit) => Promise<Result>): Promise<Result> {
    const events: EventRow[] = []
    const followUps: (() => void)[] = []
    const now = this.#clock.now()
    const result = await this.#database.transaction().execute((db) => {
      const emit = async (agentId: string, type: string, data: object): Promise<void> => {
        // A clock that was set back must not make a later event the first to be deleted: that would leave a hole.
        this.continueAfter(now)
        events.push(await append(db, agentId, type, data, this.#latestMs))
      }
      return work({ db, now, emit, afterwards: (run) => void followUps.push(run) })
    })
    for (const event of events) {
      this.hub.publish(event)
      this.onKept(event)
    }
    for (const run of followUps) run()
    return result
  }

  /**
   * The same for what nobody asks for again: while the store cannot write, it is tried again until it can.
   *
   * @param signal fires when there is no use in that any more.
   */
  async writeSurely<Result>(work: (unit: Unit) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const either = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal
    for (;;) {
      try {
        return await this.write(work)
      } catch (error) {
        if (!isPassing(error) || either.aborted) throw error
        this.#onError(error)
        await this.#waitOr(either)
      }
    }
  }

  /** Events are not told to be older than this, which an earlier process may have written by a clock that was ahead. */
  continueAfter(ms: number): void {
    this.#latestMs = Math.max(this.#latestMs, ms)
  }

  /** Nothing is tried again from here on. */
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

  /** Events of an agent after a number, in order: a part of them that is small in number and size, at least one. */
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

  /** Deletes what is older; the numbers of later events go on from where they were. */
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
