import type { EventLog } from '../events/event-log.ts'
import { continueAfter } from '../ids.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database, Queries } from '../store/database.ts'
import { failAgent, filesGone } from './agent-changes.ts'
import { isMetered, overStatuses } from './agent-lifecycle.ts'
import type { AgentRecord } from './agent-rows.ts'
import { closeAtLastSeen, type Metering, openUsage } from './metering.ts'
import type { Sandboxes } from './sandboxes.ts'
import type { TaskQueue } from './task-queue.ts'
import type { TaskWorker } from './task-worker.ts'

/** The parts of the server that recovery uses. */
export interface RecoveryOptions {
  database: Database
  events: EventLog
  sandboxes: Sandboxes
  limits: SessionLimits
  queue: TaskQueue
  worker: TaskWorker
  metering: Metering
  onError: (error: unknown) => void
}

/**
 * Recovers the state of an earlier process of this server, however that ended. Open usage ends at its last heartbeat and
 * restarts now, agents without a sandbox are marked as failed, tasks continue, and files of ended sandboxes are removed.
 */
export async function recover(options: RecoveryOptions): Promise<void> {
  const { database, events, sandboxes, limits, queue, worker, metering, onError } = options
  await continueIds(database)
  await continueEvents(database, events)
  await closeAtLastSeen(database)
  // Without metadata and instructions: those of thousands of agents may not fit into memory.
  const agents: RecoveredAgent[] = await database
    .selectFrom('agents')
    .innerJoin('sessions', 'sessions.id', 'agents.session_id')
    .select(['agents.id', 'agents.session_id', 'agents.key_id', 'agents.status', 'agents.network'])
    .select(['sessions.project', 'sessions.mode'])
    .where('agents.status', 'not in', overStatuses)
    .execute()
  const found = await Promise.all(agents.map(async (agent) => ({ agent, failure: await failureOf(agent, sandboxes) })))
  await events.write(async (unit) => {
    for (const { agent, failure } of found) {
      if (failure !== undefined) {
        await failAgent(unit, agent.id, failure)
      } else if (agent.mode === 'live') {
        if (isMetered(agent.status)) await openUsage(unit, 'compute_usage', agent)
        await openUsage(unit, 'storage_usage', agent, await lastSize(unit.db, agent.id))
        // Killed code may have written after the last measurement.
        unit.afterCommit(() => metering.noteFiles(agent.id))
      }
    }
  })
  await queue.work((job, isRecovered) => worker.work(job, isRecovered))
  await limits.recover()
  void removeLeftovers(database, sandboxes).catch(onError) // in the background: there may be many files
}

/** Removes remaining files of ended agents, e.g. after a removal that failed or was interrupted. */
export async function removeLeftovers(database: Database, sandboxes: Sandboxes): Promise<void> {
  const rows = await database.selectFrom('agents').select('id').where('status', 'not in', overStatuses).execute()
  const known = new Set(rows.map(({ id }) => id))
  await sandboxes.of('live').prune((id) => known.has(id))
}

/** The columns of an agent that recovery needs. */
type RecoveredAgent = Pick<AgentRecord, 'id' | 'session_id' | 'key_id' | 'status' | 'network' | 'project' | 'mode'>

async function failureOf(agent: RecoveredAgent, sandboxes: Sandboxes): Promise<string | undefined> {
  if (agent.status === 'booting') return 'The server stopped while the sandbox was being created.'
  const sandbox = await sandboxes.attach(agent)
  return sandbox ? undefined : filesGone
}

/** The last measured size, in bytes. */
async function lastSize(db: Queries, agentId: string): Promise<number> {
  const row = await db
    .selectFrom('storage_usage')
    .select('size_bytes')
    .where('agent_id', '=', agentId)
    .orderBy('id', 'desc')
    .executeTakeFirst()
  return row?.size_bytes ?? 0
}

/** New ids must sort after old ones, even if the clock was set back while the server was down. */
async function continueIds(database: Database): Promise<void> {
  for (const table of ['sessions', 'agents', 'tasks', 'api_keys', 'compute_usage', 'storage_usage'] as const) {
    const { id } = await database
      .selectFrom(table)
      .select(({ fn }) => fn.max('id').as('id'))
      .executeTakeFirstOrThrow()
    if (id !== null) continueAfter(id)
  }
}

/** New events must not be older than old ones, for the same reason. */
async function continueEvents(database: Database, events: EventLog): Promise<void> {
  const { at } = await database
    .selectFrom('events')
    .select(({ fn }) => fn.max('created_at').as('at'))
    .executeTakeFirstOrThrow()
  if (at !== null) events.continueAfter(at)
}
