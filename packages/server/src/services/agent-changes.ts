import type { ToolCall } from '../engine/model.ts'
import type { UnitOfWork } from '../events/event-log.ts'
import { type AgentEvent, agentEvents, isMetered, isOver } from './agent-lifecycle.ts'
import { type AgentRecord, agentRecord } from './agent-rows.ts'
import { failTaskOf } from './task-rows.ts'
import { closeUsage, openUsage, rebillStorage } from './metering.ts'

/** Details of a change. */
export interface ChangeDetails {
  /** Stored as the agent's `reason` until its next change. */
  agentReason?: string
  taskId?: string | undefined
  /** In the event. */
  eventReason?: 'limit' | 'approval_required'
  /** The call that waits for an approval. */
  toolCall?: ToolCall
  /** The key that is billed from now on. */
  keyId?: string
}

/**
 * Changes an agent's status; no other function does. Starts or stops billing and emits a `status` event.
 *
 * @returns the changed agent; undefined if the event does not apply to its status, and then nothing has changed.
 */
export async function changeAgent(
  unit: UnitOfWork,
  id: string,
  event: AgentEvent,
  details: ChangeDetails = {},
): Promise<AgentRecord | undefined> {
  const { from, to } = agentEvents[event]
  const before = await agentRecord(unit.db, id)
  if (!before || !from.some((status) => status === before.status)) return undefined
  const { agentReason = null, taskId, eventReason, toolCall, keyId = before.key_id } = details
  const change = { status: to, reason: agentReason, key_id: keyId, updated_at: unit.now }
  await unit.db.updateTable('agents').set(change).where('id', '=', id).execute()
  const after: AgentRecord = { ...before, ...change }
  if (after.mode === 'live') await bill(unit, before, after)
  await unit.emit(id, 'status', {
    status: to,
    ...(taskId && { taskId }),
    ...(eventReason && { reason: eventReason }),
    ...(toolCall && { toolCall }),
  })
  return after
}

/** Compute is billed while the agent is ready, storage as long as it has files. Test keys cost nothing. */
async function bill(unit: UnitOfWork, before: AgentRecord, after: AgentRecord): Promise<void> {
  if (isMetered(before.status) && !isMetered(after.status)) await closeUsage(unit, 'compute_usage', after.id)
  if (!isMetered(before.status) && isMetered(after.status)) await openUsage(unit, 'compute_usage', after)
  if (before.status === 'booting' && !isOver(after.status)) await openUsage(unit, 'storage_usage', after)
  if (isOver(after.status)) await closeUsage(unit, 'storage_usage', after.id)
  else if (before.key_id !== after.key_id) await rebillStorage(unit, after)
}

/** The reason of an agent that fails after its creation. */
export const filesGone = 'The sandbox and its files are gone.'

/** Marks an agent and its active task as failed, because its sandbox is gone. */
export async function failAgent(unit: UnitOfWork, id: string, reason = filesGone): Promise<void> {
  await failTaskOf(unit, id, reason)
  await changeAgent(unit, id, 'fail', { agentReason: reason })
}
