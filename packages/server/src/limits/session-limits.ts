import type { SessionLimits as Limits, WireSession } from '@theazo/core'
import type { Clock } from '../clock.ts'
import { ApiError } from '../errors.ts'
import { overStatuses } from '../services/agent-lifecycle.ts'
import { type EventLog, storeRetryMs, type UnitOfWork } from '../events/event-log.ts'
import { computeMsFor, microCents } from '../pricing.ts'
import { costOf, sumUsage } from '../services/usage-sums.ts'
import type { Database, Queries } from '../store/database.ts'
import type { SessionRow } from '../store/tables.ts'

/** The parts of the server that {@link SessionLimits} uses. */
export interface SessionLimitsOptions {
  database: Database
  events: EventLog
  clock: Clock
  onError: (error: unknown) => void
}

/** The state of a session's caps. */
interface CapState {
  /** Message of the reached cap; undefined if the session may continue. */
  reached?: string
  /** Milliseconds until a cap may be reached, or may no longer be; undefined: never without another change. */
  changesInMs?: number
}

const dayMs = 86_400_000

/**
 * Caps of sessions on cost and compute time (contract, Sessions). They are checked before everything that costs, and by a
 * timer while agents are ready. A reached cap pauses the session; the next period or a higher cap makes it active again.
 */
export class SessionLimits {
  readonly #options: SessionLimitsOptions
  readonly #watches = new Map<string, () => void>()
  #isClosed = false
  /** Pauses the session's agents; resolves when nothing new can begin in them. */
  onReached: (sessionId: string, message: string) => Promise<void> = async () => {}

  constructor(options: SessionLimitsOptions) {
    this.#options = options
  }

  /** @throws {ApiError} 402 if the session has reached a cap. */
  async assertWithin(db: Queries, sessionId: string): Promise<void> {
    const reached = await this.reached(db, sessionId)
    if (reached !== undefined) throw exceeded(reached)
  }

  /** The message of the cap that a session has reached; undefined if it may continue. */
  async reached(db: Queries, sessionId: string): Promise<string | undefined> {
    const session = await db.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirstOrThrow()
    return (await this.#capState(db, session)).reached
  }

  /** Micro-cents that a session may still spend in the present period; undefined if it has no cap on cost. */
  async costLeft(db: Queries, sessionId: string): Promise<number | undefined> {
    const session = await db.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirstOrThrow()
    const { maxCost } = limitsOf(session)
    if (!maxCost) return undefined
    const now = this.#options.clock.now()
    return await costLeftIn(db, session.id, maxCost, now)
  }

  /** Call this in the transaction that adds an agent. @throws {ApiError} 402 if the session has `maxAgents` agents. */
  async assertRoom({ db }: UnitOfWork, session: SessionRow): Promise<void> {
    const { maxAgents } = limitsOf(session)
    if (maxAgents === undefined) return
    const { count } = await db
      .selectFrom('agents')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('session_id', '=', session.id)
      .where('status', 'not in', overStatuses)
      .executeTakeFirstOrThrow()
    if (count < maxAgents) return
    throw exceeded(
      `Session ${session.id} has ${count} agents, and its maxAgents is ${maxAgents}. Terminate an agent first.`,
    )
  }

  /**
   * Checks the caps of a session after a change of its usage, caps or agents: pauses it or makes it active, and sets the
   * timer for the next check. A session without caps has no timer.
   */
  async enforceCaps(sessionId: string): Promise<void> {
    try {
      await this.#enforceCaps(sessionId)
    } catch (error) {
      // E.g. on a full disk. Try again: the session must not work beyond its cap.
      this.#watch(sessionId, storeRetryMs)
      throw error
    }
  }

  async #enforceCaps(sessionId: string): Promise<void> {
    this.#watches.get(sessionId)?.()
    this.#watches.delete(sessionId)
    if (this.#isClosed) return
    const { database, events } = this.#options
    const before = await database.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirst()
    if (!before || (before.limits === '{}' && before.status !== 'paused')) return
    const { mustPause, state } = await events.write(async (unit) => {
      const session = await unit.db.selectFrom('sessions').selectAll().where('id', '=', sessionId).executeTakeFirst()
      if (!session || session.status === 'terminated') return { mustPause: false, state: {} as CapState }
      const state = await this.#capState(unit.db, session)
      const status: WireSession['status'] = state.reached === undefined ? 'active' : 'paused'
      // Without active agents there is nothing to pause: the same check refuses the next call.
      const mustPause = status === 'paused' && (await hasActiveAgents(unit.db, sessionId))
      if (status !== session.status && (status === 'active' || mustPause)) {
        await unit.db
          .updateTable('sessions')
          .set({ status, updated_at: unit.now })
          .where('id', '=', sessionId)
          .execute()
      }
      // Also if the session is paused already: an agent may have booted since, or a killed server has not paused all.
      return { mustPause, state }
    })
    if (mustPause) await this.onReached(sessionId, state.reached ?? '')
    if (state.changesInMs !== undefined) this.#watch(sessionId, state.changesInMs)
  }

  /** Starts {@link enforceCaps} without waiting for it. */
  scheduleEnforcement(sessionId: string): void {
    void this.enforceCaps(sessionId).catch(this.#options.onError)
  }

  /** Reports an error of {@link onReached} and tries again after a while. */
  retryEnforcement(sessionId: string, error: unknown): void {
    this.#options.onError(error)
    this.#watch(sessionId, storeRetryMs)
  }

  /** Checks the sessions that an earlier process watched. */
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
    for (const { id } of rows) await this.enforceCaps(id)
  }

  close(): void {
    this.#isClosed = true
    for (const stop of this.#watches.values()) stop()
    this.#watches.clear()
  }

  #watch(sessionId: string, ms: number): void {
    if (this.#isClosed) return
    this.#watches.get(sessionId)?.()
    const stop = this.#options.clock.after(Math.ceil(ms), () => this.scheduleEnforcement(sessionId))
    this.#watches.set(sessionId, stop)
  }

  async #capState(db: Queries, session: SessionRow): Promise<CapState> {
    const { maxCost, maxComputeMinutes } = limitsOf(session)
    if (!maxCost && maxComputeMinutes === undefined) return {}
    const now = this.#options.clock.now()
    const { billedAgents } = await db
      .selectFrom('compute_usage')
      .select(({ fn }) => fn.countAll<number>().as('billedAgents'))
      .where('session_id', '=', session.id)
      .where('ended_at', 'is', null)
      .executeTakeFirstOrThrow()
    const waits: number[] = []
    if (maxComputeMinutes !== undefined) {
      const { computeMs } = await sumUsage(db, { sessionId: session.id }, { from: 0, until: forever }, now)
      const leftMs = maxComputeMinutes * 60_000 - computeMs
      if (leftMs <= 0) {
        return {
          reached: `Session ${session.id} has used its ${maxComputeMinutes} compute minutes. Raise maxComputeMinutes.`,
        }
      }
      if (billedAgents > 0) waits.push(leftMs / billedAgents)
    }
    if (maxCost) {
      const period = periodOf(maxCost.period, now)
      const left = await costLeftIn(db, session.id, maxCost, now)
      const untilNext = period.next === undefined ? [] : [period.next - now]
      if (left <= 0) {
        const span = maxCost.period === 'session' ? 'this session' : `this ${maxCost.period} (UTC)`
        const fix = maxCost.period === 'session' ? '.' : `, or wait for the next ${maxCost.period}.`
        const reached = `Session ${session.id} has spent its ${maxCost.amount} cents for ${span}. Raise maxCost${fix}`
        return { reached, ...(untilNext[0] !== undefined && { changesInMs: untilNext[0] }) }
      }
      // Storage adds a little to the cost of compute: check again after a day at most.
      waits.push(...untilNext, ...(billedAgents > 0 ? [Math.min(dayMs, computeMsFor(left) / billedAgents)] : []))
    }
    return waits.length > 0 ? { changesInMs: Math.min(...waits) } : {}
  }
}

const forever = Number.MAX_SAFE_INTEGER

type MaxCost = NonNullable<Limits['maxCost']>

async function costLeftIn(db: Queries, sessionId: string, { amount, period }: MaxCost, now: number): Promise<number> {
  const { from } = periodOf(period, now)
  return microCents(amount) - costOf(await sumUsage(db, { sessionId }, { from, until: forever }, now))
}

/** The error for a reached cap. */
export function exceeded(message: string): ApiError {
  return new ApiError('session_limit_exceeded', message)
}

function limitsOf({ limits }: SessionRow): Limits {
  return JSON.parse(limits) as Limits // validated when it was stored
}

/** The present period of a cap, in UTC (contract, Sessions). */
function periodOf(period: 'session' | 'day' | 'month', now: number): { from: number; next?: number } {
  const date = new Date(now)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
  if (period === 'day') return { from: Date.UTC(year, month, day), next: Date.UTC(year, month, day + 1) }
  if (period === 'month') return { from: Date.UTC(year, month, 1), next: Date.UTC(year, month + 1, 1) }
  return { from: 0 }
}

async function hasActiveAgents(db: Queries, sessionId: string): Promise<boolean> {
  const row = await db
    .selectFrom('agents')
    .select('id')
    .where('session_id', '=', sessionId)
    .where('status', 'in', ['booting', 'idle', 'running'])
    .executeTakeFirst()
  return row !== undefined
}
