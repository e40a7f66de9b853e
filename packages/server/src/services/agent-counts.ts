import type { Database } from '../store/database.ts'
import { overStatuses } from './agent-lifecycle.ts'

/** Of all projects; those that are terminated aside. */
export async function agentsByStatus(database: Database): Promise<{ status: string; count: number }[]> {
  return await database
    .selectFrom('agents')
    .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
    .where('status', '!=', 'terminated')
    .groupBy('status')
    .execute()
}

/** Idle agents of live keys that the server never ends by itself: each is billed until a caller terminates it. */
export async function idleAgentsWithoutTimeout(database: Database): Promise<number> {
  const { count } = await database
    .selectFrom('agents')
    .innerJoin('sessions', 'sessions.id', 'agents.session_id')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('agents.status', '=', 'idle')
    .where('agents.idle_timeout', 'is', null)
    .where('sessions.mode', '=', 'live')
    .executeTakeFirstOrThrow()
  return count
}

/** All that a session ever had, and those that are neither terminated nor failed. */
export async function agentsOfSession(database: Database, id: string): Promise<{ active: number; total: number }> {
  const ofSession = database
    .selectFrom('agents')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('session_id', '=', id)
  const active = await ofSession.where('status', 'not in', overStatuses).executeTakeFirstOrThrow()
  const total = await ofSession.executeTakeFirstOrThrow()
  return { active: active.count, total: total.count }
}
