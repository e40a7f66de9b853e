import type { EventLog } from '../events/event-log.ts'
import { continueAfter } from '../ids.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database, Queries } from '../store/database.ts'
import { failAgent, filesGone } from './agent-changes.ts'
import { isMetered, overStatuses } from './agent-lifecycle.ts'
import type { AgentRecord } from './agent-rows.ts'
import { closeAtLastSeen, type Metering, openUsage } from './metering.ts'
import type { Runs } from './runs.ts'
import type { Sandboxes } from './sandboxes.ts'

/** What recovery works on. */
export interface RecoveryOptions {
  database: Database
  events: EventLog
  sandboxes: Sandboxes
  limits: SessionLimits
  runs: Runs
  metering: Metering
  onError: (error: unknown) => void
}

/**
 * Settles what an earlier process of this server left, however it ended: usage ends when it was last seen and goes on
 * from now, agents whose sandbox is gone say so, tasks go on, and what is left of ended sandboxes is removed.
 */
export async function recover(options: RecoveryOptions): Promise<void> {
  const { database, events, sandboxes, limits, runs, metering, onError } = options
  await continueIds(database)
  await continueEvents(database, events)
  await closeAtLastSeen(database)
  // Not their metadata and instructions: of thousands of agents these may not fit into the memory.
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
        // Code that was cut may have written since.
        unit.afterwards(() => metering.noteFiles(agent.id))
      }
    }
  })
  await runs.recover()
  await limits.recover()
  void removeLeftovers(database, sandboxes).catch(onError) // files may be many; nobody waits for this
}

/** Removes the files of sandboxes whose agents have ended, e.g. because a removal failed or was cut. */
export async function removeLeftovers(database: Database, sandboxes: Sandboxes): Promise<void> {
  const rows = await database.selectFrom('agents').select('id').where('status', 'not in', overStatuses).execute()
  const known = new Set(rows.map(({ id }) => id))
  await sandboxes.of('live').prune((id) => known.has(id))
}

/** What of an agent recovery needs. */
type RecoveredAgent = Pick<AgentRecord, 'id' | 'session_id' | 'key_id' | 'status' | 'network' | 'project' | 'mode'>

async function failureOf(agent: RecoveredAgent, sandboxes: Sandboxes): Promise<string | undefined> {
  if (agent.status === 'booting') return 'The server stopped while the sandbox was being made.'
  const sandbox = await sandboxes.attach(agent)
  return sandbox ? undefined : filesGone
}

/** Bytes, as they were measured last. */
async function lastSize(db: Queries, agentId: string): Promise<number> {
  const row = await db
    .selectFrom('storage_usage')
    .select('size_bytes')
    .where('agent_id', '=', agentId)
    .orderBy('id', 'desc')
    .executeTakeFirst()
  return row?.size_bytes ?? 0
}

/** A clock that was set back while the server was down must not sort new things before old ones. */
async function continueIds(database: Database): Promise<void> {
  for (const table of ['sessions', 'agents', 'tasks', 'api_keys', 'compute_usage', 'storage_usage'] as const) {
    const { id } = await database
      .selectFrom(table)
      .select(({ fn }) => fn.max('id').as('id'))
      .executeTakeFirstOrThrow()
    if (id !== null) continueAfter(id)
  }
}

/** Nor make new events older than old ones. */
async function continueEvents(database: Database, events: EventLog): Promise<void> {
  const { at } = await database
    .selectFrom('events')
    .select(({ fn }) => fn.max('created_at').as('at'))
    .executeTakeFirstOrThrow()
  if (at !== null) events.continueAfter(at)
}
