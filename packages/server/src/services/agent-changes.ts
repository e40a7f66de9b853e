import type { Unit } from '../events/event-log.ts'
import { type AgentEvent, agentEvents, isMetered, isOver } from './agent-lifecycle.ts'
import { type AgentRecord, agentRecord } from './agent-rows.ts'
import { failTaskOf } from './task-rows.ts'
import { closeUsage, openUsage, rebillStorage } from './metering.ts'

/** What else is told of a change. */
export interface ChangeDetails {
  /** Kept with the agent as its `reason`, until its next change. */
  why?: string
  taskId?: string | undefined
  reason?: 'limit'
  /** Who is billed from here on. */
  keyId?: string
}

/**
 * The one place where an agent's status changes: it moves on where the event applies, its time is billed or no longer,
 * and its stream is told. Undefined where the event does not apply: nothing happens then.
 */
export async function changeAgent(
  unit: Unit,
  id: string,
  event: AgentEvent,
  details: ChangeDetails = {},
): Promise<AgentRecord | undefined> {
  const { from, to } = agentEvents[event]
  const before = await agentRecord(unit.db, id)
  if (!before || !from.some((status) => status === before.status)) return undefined
  const { why = null, taskId, reason, keyId = before.key_id } = details
  const change = { status: to, reason: why, key_id: keyId, updated_at: unit.now }
  await unit.db.updateTable('agents').set(change).where('id', '=', id).execute()
  const after: AgentRecord = { ...before, ...change }
  if (after.mode === 'live') await bill(unit, before, after)
  await unit.emit(id, 'status', { status: to, ...(taskId && { taskId }), ...(reason && { reason }) })
  return after
}

/** Compute counts while it is ready, storage as long as it has files. Test keys cost nothing. */
async function bill(unit: Unit, before: AgentRecord, after: AgentRecord): Promise<void> {
  if (isMetered(before.status) && !isMetered(after.status)) await closeUsage(unit, 'compute_usage', after.id)
  if (!isMetered(before.status) && isMetered(after.status)) await openUsage(unit, 'compute_usage', after)
  if (before.status === 'booting' && !isOver(after.status)) await openUsage(unit, 'storage_usage', after)
  if (isOver(after.status)) await closeUsage(unit, 'storage_usage', after.id)
  else if (before.key_id !== after.key_id) await rebillStorage(unit, after)
}

/** Why an agent fails that was there before. */
export const filesGone = 'The sandbox and its files are gone.'

/** The agent's sandbox is gone: it fails, and so does the task that it works on. */
export async function failAgent(unit: Unit, id: string, why = filesGone): Promise<void> {
  await failTaskOf(unit, id, why)
  await changeAgent(unit, id, 'fail', { why })
}
