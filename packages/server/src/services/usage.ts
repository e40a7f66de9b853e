import type { SessionUsage, UsageSummary } from '@theazo/core'
import type { Clock } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { ApiKeys, Principal } from '../keys/api-keys.ts'
import { computeCost, gbMonths, storageCost, toMoney } from '../pricing.ts'
import type { Database } from '../store/database.ts'
import { agentsOfSession } from './agent-counts.ts'
import { isoTime } from './agent-rows.ts'
import type { Sessions } from './sessions.ts'
import { costOf, sumUsage, type UsageSums } from './usage-sums.ts'

/** Filter of a usage summary. Times are milliseconds since the epoch. */
export interface UsageQuery {
  /** Default: the start of this month, UTC. */
  from?: number | undefined
  /** Default: now. */
  until?: number | undefined
  sessionId?: string | undefined
  userId?: string | undefined
  keyId?: string | undefined
}

/** The parts of the server that {@link Usage} uses. */
export interface UsageOptions {
  database: Database
  sessions: Sessions
  keys: ApiKeys
  clock: Clock
}

/** Reports the usage of projects and sessions (contract, Usage). The usage of test keys is zero. */
export class Usage {
  readonly #options: UsageOptions

  constructor(options: UsageOptions) {
    this.#options = options
  }

  /** @throws {ApiError} 422 if `from` is after `until`; 404 for a session or key that is not the principal's. */
  async summary(principal: Principal, query: UsageQuery): Promise<UsageSummary> {
    const { database, sessions, keys, clock } = this.#options
    const now = clock.now()
    const { from = startOfMonth(now), until = Math.max(now, from), sessionId, userId, keyId } = query
    if (from > until) throw ApiError.invalid({ from: [`must not be after until (${isoTime(until)})`] })
    if (sessionId !== undefined) await sessions.get(principal, sessionId)
    if (keyId !== undefined) await keys.assertOwn(principal, keyId)
    if (principal.mode === 'test') return toSummary(from, until, nothing)
    const scope = { project: principal.project, sessionId, userId, keyId }
    // If the clock was set back, usage must not shrink: "until now" includes all intervals.
    const period = { from, until: query.until ?? Number.MAX_SAFE_INTEGER }
    return toSummary(from, until, await sumUsage(database, scope, period, now))
  }

  /** The total usage of a session, in the format of the official SDK. @throws {ApiError} 404. */
  async ofSession(principal: Principal, sessionId: string): Promise<SessionUsage> {
    const { database, sessions, clock } = this.#options
    await sessions.get(principal, sessionId)
    const whole = { from: 0, until: Number.MAX_SAFE_INTEGER }
    const sums = principal.mode === 'test' ? nothing : await sumUsage(database, { sessionId }, whole, clock.now())
    const { active, total } = await agentsOfSession(database, sessionId)
    return {
      cost: toMoney(costOf(sums)),
      computeMinutes: rounded(sums.computeMs / 60_000),
      activeAgents: active,
      totalAgentsCreated: total,
    }
  }
}

const nothing: UsageSums = { computeMs: 0, byteMs: 0, inputTokens: 0, outputTokens: 0, modelCost: 0 }

/** Rounds each part once. The total is the sum of the rounded parts, so that it adds up. */
function toSummary(from: number, until: number, sums: UsageSums): UsageSummary {
  const compute = toMoney(computeCost(sums.computeMs))
  const models = toMoney(sums.modelCost)
  const storage = toMoney(storageCost(sums.byteMs))
  const { inputTokens, outputTokens } = sums
  return {
    period: { from: isoTime(from), until: isoTime(until) },
    compute: { minutes: rounded(sums.computeMs / 60_000), cost: compute },
    models: { inputTokens, outputTokens, cost: models },
    storage: { gb: rounded(gbMonths(sums.byteMs)), cost: storage },
    total: { amount: compute.amount + models.amount + storage.amount, currency: 'usd' },
  }
}

/** Rounds to six decimals: a minute is exact to less than a millisecond. */
function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

function startOfMonth(now: number): number {
  const date = new Date(now)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}
