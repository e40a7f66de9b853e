import { sql, type RawBuilder } from 'kysely'
import { computeCost, storageCost } from '../pricing.ts'
import type { Queries } from '../store/database.ts'

/** The usage to sum: that of a session, a project, a user or a key. */
export interface UsageScope {
  project?: string | undefined
  sessionId?: string | undefined
  userId?: string | undefined
  keyId?: string | undefined
}

/** A period from `from` (inclusive) until `until` (exclusive), in milliseconds since the epoch. */
export interface Period {
  from: number
  until: number
}

/** Exact sums; the caller rounds them. */
export interface UsageSums {
  computeMs: number
  byteMs: number
  inputTokens: number
  outputTokens: number
  /** Micro-cents. */
  modelCost: number
}

/** The total cost in micro-cents. */
export function costOf({ computeMs, byteMs, modelCost }: UsageSums): number {
  return computeCost(computeMs) + storageCost(byteMs) + modelCost
}

/**
 * Sums the usage in a period. An interval counts with its part inside the period; an open interval counts until now.
 *
 * @param now milliseconds since the epoch.
 */
export async function sumUsage(db: Queries, scope: UsageScope, period: Period, now: number): Promise<UsageSums> {
  const { from, until } = period
  const end = sql<number>`coalesce(ended_at, ${greater(sql.ref('seen_at'), sql.val(now))})`
  const overlap = sql<number>`(${lesser(end, sql.val(until))} - ${greater(sql.ref('started_at'), sql.val(from))})`
  const within = sql<boolean>`started_at < ${until} and ${end} > ${from} and ${conditions(scope)}`
  const compute = await db
    .selectFrom('compute_usage')
    .select(sql<number | null>`sum(${overlap})`.as('ms'))
    .where(within)
    .executeTakeFirstOrThrow()
  const storage = await db
    .selectFrom('storage_usage')
    .select(sql<number | null>`sum(${overlap} * (size_bytes * 1.0))`.as('byte_ms'))
    .where(within)
    .executeTakeFirstOrThrow()
  const models = await db
    .selectFrom('model_usage')
    .select(({ fn }) => [
      fn.sum<number | null>('input_tokens').as('input'),
      fn.sum<number | null>('output_tokens').as('output'),
      fn.sum<number | null>('cost').as('cost'),
    ])
    .where(sql<boolean>`at >= ${from} and at < ${until} and ${conditions(scope)}`)
    .executeTakeFirstOrThrow()
  return {
    computeMs: compute.ms ?? 0,
    byteMs: storage.byte_ms ?? 0,
    inputTokens: models.input ?? 0,
    outputTokens: models.output ?? 0,
    modelCost: models.cost ?? 0,
  }
}

function conditions({ project, sessionId, userId, keyId }: UsageScope): RawBuilder<boolean> {
  const all = [
    project !== undefined && sql`project = ${project}`,
    sessionId !== undefined && sql`session_id = ${sessionId}`,
    userId !== undefined && sql`session_id in (select id from sessions where user_id = ${userId})`,
    keyId !== undefined && sql`key_id = ${keyId}`,
  ].filter((condition) => condition !== false)
  return sql<boolean>`(${sql.join(all, sql` and `)})`
}

/** The smaller value. SQLite's min with two arguments has other names in other databases. */
function lesser(a: RawBuilder<unknown>, b: RawBuilder<unknown>): RawBuilder<number> {
  return sql<number>`(case when ${a} < ${b} then ${a} else ${b} end)`
}

function greater(a: RawBuilder<unknown>, b: RawBuilder<unknown>): RawBuilder<number> {
  return sql<number>`(case when ${a} > ${b} then ${a} else ${b} end)`
}
