import type { AgentStatus, AgentStatusInfo } from '@theazo/core'
import { sql } from 'kysely'
import { computeCost, storageCost, toMoney } from '../pricing.ts'
import type { Queries } from '../store/database.ts'
import type { AgentRow } from '../store/tables.ts'

/** Statuses of the official SDK, which has other names for two of them. */
const statusOf: Record<AgentStatus, AgentStatusInfo['status']> = {
  booting: 'booting',
  idle: 'ready',
  running: 'running',
  paused: 'paused',
  failed: 'failed',
  terminated: 'completed',
}

/** The SDK expects the region of a cloud. A self-hosted server has one place. */
const region = 'local'

/** The status of an agent in the format of the official SDK (contract, `official-sdk`). */
export async function agentStatusInfo(db: Queries, agent: AgentRow, now: number): Promise<AgentStatusInfo> {
  const isOver = agent.status === 'terminated' || agent.status === 'failed'
  const task = agent.task_id
    ? await db.selectFrom('tasks').select('prompt').where('id', '=', agent.task_id).executeTakeFirst()
    : undefined
  return {
    status: statusOf[agent.status],
    // If the clock was set back, the duration is 0 and not negative.
    duration: durationText(Math.max(0, (isOver ? agent.updated_at : now) - agent.created_at)),
    cost: toMoney(await costSoFar(db, agent, now)),
    task: task?.prompt ?? '',
    provider: agent.provider,
    region,
  }
}

/** The cost in micro-cents. An open interval counts until now. */
async function costSoFar(db: Queries, { id, session_id: sessionId }: AgentRow, now: number): Promise<number> {
  const lengthMs = sql<number>`(coalesce(ended_at, case when seen_at > ${now} then seen_at else ${now} end) - started_at)`
  const compute = await db
    .selectFrom('compute_usage')
    .select(sql<number | null>`sum(${lengthMs})`.as('ms'))
    .where('session_id', '=', sessionId) // uses the table's index
    .where('agent_id', '=', id)
    .executeTakeFirstOrThrow()
  const storage = await db
    .selectFrom('storage_usage')
    .select(sql<number | null>`sum(${lengthMs} * (size_bytes * 1.0))`.as('byte_ms'))
    .where('session_id', '=', sessionId)
    .where('agent_id', '=', id)
    .executeTakeFirstOrThrow()
  const models = await db
    .selectFrom('tasks')
    .select(({ fn }) => fn.sum<number | null>('cost').as('cost'))
    .where('agent_id', '=', id)
    .executeTakeFirstOrThrow()
  return computeCost(compute.ms ?? 0) + storageCost(storage.byte_ms ?? 0) + (models.cost ?? 0)
}

/** `4.2s`, `3m 12s`, `5h 0m`, `2d 3h`: the two largest units. */
function durationText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return `${Math.floor(ms / 100) / 10}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`
}
