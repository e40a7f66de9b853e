import type { Database } from '../store/database.ts'
import { overStatuses } from './agent-lifecycle.ts'

/** The number of agents by status, of all projects. Terminated agents are not counted. */
export async function agentsByStatus(database: Database): Promise<{ status: string; count: number }[]> {
  return await database
    .selectFrom('agents')
    .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
    .where('status', '!=', 'terminated')
    .groupBy('status')
    .execute()
}

/** The number of idle agents of live keys without an idle timeout: each is billed until a caller terminates it. */
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

/** The agents of a session: all that it ever had, and those that are neither terminated nor failed. */
export async function agentsOfSession(database: Database, id: string): Promise<{ active: number; total: number }> {
  const ofSession = database
    .selectFrom('agents')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('session_id', '=', id)
  const active = await ofSession.where('status', 'not in', overStatuses).executeTakeFirstOrThrow()
  const total = await ofSession.executeTakeFirstOrThrow()
  return { active: active.count, total: total.count }
}
