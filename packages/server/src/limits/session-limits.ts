import type { SessionLimits as Limits, WireSession } from '@theazo/core'
import type { Clock } from '../clock.ts'
import { ApiError } from '../errors.ts'
import { overStatuses } from '../services/agent-lifecycle.ts'
import { type EventLog, storeRetryMs, type Unit } from '../events/event-log.ts'
import { computeMsFor, microCents } from '../pricing.ts'
import { costOf, sumUsage } from '../services/usage-sums.ts'
import type { Database, Queries } from '../store/database.ts'
import type { SessionRow } from '../store/tables.ts'

/** What caps are asked of, and written to. */
export interface SessionLimitsOptions {
  database: Database
  events: EventLog
  clock: Clock
  onError: (error: unknown) => void
}

/** What a session has spent, and when that changes what it may do. */
interface CapStanding {
  /** Why it may not go on; undefined where it may. */
  reached?: string
  /** Milliseconds until that may be otherwise, if everything goes on as it does; undefined: never. */
  changesInMs?: number
}

const dayMs = 86_400_000

/**
 * Caps of sessions on cost and compute time (contract, Sessions): asked before anything that costs, and watched by a
 * timer while agents work. A cap that is reached pauses the session; the next period, or a higher cap, wakes it.
 */
export class SessionLimits {
  readonly #options: SessionLimitsOptions
  readonly #watches = new Map<string, () => void>()
  #isClosed = false
  /** Stops what the session's agents do; resolves once nothing new begins in them. */
  onReached: (sessionId: string, message: string) => Promise<void> = async () => {}

  constructor(options: SessionLimitsOptions) {
    this.#options = options
  }

  /** @throws {ApiError} 402 where the session has reached a cap. */
  async assertWithin(db: Queries, sessionId: string): Promise<void> {
    const session = await db.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirstOrThrow()
    const { reached } = await this.#standing(db, session)
    if (reached !== undefined) throw exceeded(reached)
  }

  /** @throws {ApiError} 402 where the session has as many agents as it may; in the transaction that adds one. */
  async assertRoom({ db }: Unit, session: SessionRow): Promise<void> {
    const { maxAgents } = limitsOf(session)
    if (maxAgents === undefined) return
    const { count } = await db
      .selectFrom('agents')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('session_id', '=', session.id)
      .where('status', 'not in', overStatuses)
      .executeTakeFirstOrThrow()
    if (count < maxAgents) return
    throw exceeded(`Session ${session.id} has ${count} agents, and may have ${maxAgents}. Terminate one.`)
  }

  /**
   * Looks at a session whose usage, caps or agents have changed: pauses or wakes it, and sets the timer for the next
   * time that matters. A session without caps costs no timer.
   */
  async settle(sessionId: string): Promise<void> {
    try {
      await this.#settle(sessionId)
    } catch (error) {
      // On a full disk, say: no session may work on beyond its cap for that.
      this.#watch(sessionId, storeRetryMs)
      throw error
    }
  }

  async #settle(sessionId: string): Promise<void> {
    this.#watches.get(sessionId)?.()
    this.#watches.delete(sessionId)
    if (this.#isClosed) return
    const { database, events } = this.#options
    const asIs = await database.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirst()
    if (!asIs || (asIs.limits === '{}' && asIs.status !== 'paused')) return
    const { isToPause, standing } = await events.write(async (unit) => {
      const session = await unit.db.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirst()
      if (!session || session.status === 'terminated') return { isToPause: false, standing: {} as CapStanding }
      const standing = await this.#standing(unit.db, session)
      const status: WireSession['status'] = standing.reached === undefined ? 'active' : 'paused'
      // A cap that is reached while nothing works pauses nothing: the next call is refused by the same check.
      const isToPause = status === 'paused' && (await isAtWork(unit.db, sessionId))
      if (status !== session.status && (status === 'active' || isToPause)) {
        await unit.db
          .updateTable('sessions')
          .set({ status, updated_at: unit.now })
          .where('id', '=', sessionId)
          .execute()
      }
      // Also where it is paused already: an agent may have booted since, or a server was killed before it had paused all.
      return { isToPause, standing }
    })
    if (isToPause) await this.onReached(sessionId, standing.reached ?? '')
    if (standing.changesInMs !== undefined) this.#watch(sessionId, standing.changesInMs)
  }

  /** The same, without waiting for it. */
  settleSoon(sessionId: string): void {
    void this.settle(sessionId).catch(this.#options.onError)
  }

  /** What a cap asked for could not be written: it is looked at again. */
  settleAgain(sessionId: string, error: unknown): void {
    this.#options.onError(error)
    this.#watch(sessionId, storeRetryMs)
  }

  /** Sessions that an earlier process of this server watched. */
  async recover(): Promise<void> {
    const rows = await this.#options.database
      .selectFrom('sessions')
      .select('id')
      .where('status', '!=', 'terminated')
      .where('limits', '!=', '{}')
      .where((where) =>
        where.or([
          where('status', '=', 'paused'),
          where.exists(
            where
              .selectFrom('agents')
              .select('agents.id')
              .whereRef('agents.session_id', '=', 'sessions.id')
              .where('agents.status', 'in', ['idle', 'running']),
          ),
        ]),
      )
      .execute()
    for (const { id } of rows) await this.settle(id)
  }

  close(): void {
    this.#isClosed = true
    for (const stop of this.#watches.values()) stop()
    this.#watches.clear()
  }

  #watch(sessionId: string, ms: number): void {
    if (this.#isClosed) return
    this.#watches.get(sessionId)?.()
    const stop = this.#options.clock.after(Math.ceil(ms), () => this.settleSoon(sessionId))
    this.#watches.set(sessionId, stop)
  }

  async #standing(db: Queries, session: SessionRow): Promise<CapStanding> {
    const { maxCost, maxComputeMinutes } = limitsOf(session)
    if (!maxCost && maxComputeMinutes === undefined) return {}
    const now = this.#options.clock.now()
    const until = Number.MAX_SAFE_INTEGER
    const { atWork } = await db
      .selectFrom('compute_usage')
      .select(({ fn }) => fn.countAll<number>().as('atWork'))
      .where('session_id', '=', session.id)
      .where('ended_at', 'is', null)
      .executeTakeFirstOrThrow()
    const waits: number[] = []
    if (maxComputeMinutes !== undefined) {
      const { computeMs } = await sumUsage(db, { sessionId: session.id }, { from: 0, until }, now)
      const leftMs = maxComputeMinutes * 60_000 - computeMs
      if (leftMs <= 0) return { reached: `Session ${session.id} has used its ${maxComputeMinutes} compute minutes.` }
      if (atWork > 0) waits.push(leftMs / atWork)
    }
    if (maxCost) {
      const period = periodOf(maxCost.period, now)
      const cost = costOf(await sumUsage(db, { sessionId: session.id }, { from: period.from, until }, now))
      const left = microCents(maxCost.amount) - cost
      const untilNext = period.next === undefined ? [] : [period.next - now]
      if (left <= 0) {
        const span = maxCost.period === 'session' ? 'this session' : `this ${maxCost.period} (UTC)`
        const reached = `Session ${session.id} has spent its ${maxCost.amount} cents for ${span}.`
        return { reached, ...(untilNext[0] !== undefined && { changesInMs: untilNext[0] }) }
      }
      // Storage adds a little to what compute costs: at most a day passes before it is looked at again.
      waits.push(...untilNext, ...(atWork > 0 ? [Math.min(dayMs, computeMsFor(left) / atWork)] : []))
    }
    return waits.length > 0 ? { changesInMs: Math.min(...waits) } : {}
  }
}

/** The error that a reached cap is answered with. */
export function exceeded(message: string): ApiError {
  return new ApiError('session_limit_exceeded', message)
}

function limitsOf({ limits }: SessionRow): Limits {
  return JSON.parse(limits) as Limits // validated when it was stored
}

/** UTC days and months (contract, Sessions). */
function periodOf(period: 'session' | 'day' | 'month', now: number): { from: number; next?: number } {
  const date = new Date(now)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
  if (period === 'day') return { from: Date.UTC(year, month, day), next: Date.UTC(year, month, day + 1) }
  if (period === 'month') return { from: Date.UTC(year, month, 1), next: Date.UTC(year, month + 1, 1) }
  return { from: 0 }
}

async function isAtWork(db: Queries, sessionId: string): Promise<boolean> {
  const row = await db
    .selectFrom('agents')
    .select('id')
    .where('session_id', '=', sessionId)
    .where('status', 'in', ['booting', 'idle', 'running'])
    .executeTakeFirst()
  return row !== undefined
}
