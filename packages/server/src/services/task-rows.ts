import type { TaskResult } from '../engine/task-log.ts'
import { ApiError } from '../errors.ts'
import type { UnitOfWork } from '../events/event-log.ts'
import { toMoney } from '../pricing.ts'
import type { Queries } from '../store/database.ts'
import type { TaskRow } from '../store/tables.ts'

/** The input for a new task's row. */
export interface NewTask {
  id: string
  agentId: string
  keyId: string
  prompt: string
  /** True if the model must not see earlier tasks. */
  isFresh: boolean
  now: number
}

/** The row of a new task, in status `running`. */
export function newTask({ id, agentId, keyId, prompt, isFresh, now }: NewTask): TaskRow {
  return {
    id,
    agent_id: agentId,
    key_id: keyId,
    status: 'running',
    prompt,
    output: null,
    error: null,
    cost: 0,
    input_tokens: 0,
    output_tokens: 0,
    run_ms: 0,
    pending_call: null,
    is_fresh: isFresh ? 1 : 0,
    is_suspended: 0,
    created_at: now,
    started_at: now,
    finished_at: null,
  }
}

/** @throws {ApiError} 404. */
export async function findTask(db: Queries, agentId: string, taskId: string): Promise<TaskRow> {
  const task = await db
    .selectFrom('tasks')
    .selectAll()
    .where('id', '=', taskId)
    .where('agent_id', '=', agentId)
    .executeTakeFirst()
  if (!task) throw new ApiError('not_found', `Agent ${agentId} has no task ${taskId}.`)
  return task
}

/** The agent's task, if it has not ended. */
export async function activeTask(db: Queries, agentId: string): Promise<TaskRow | undefined> {
  return await db
    .selectFrom('tasks')
    .innerJoin('agents', 'agents.task_id', 'tasks.id')
    .selectAll('tasks')
    .where('agents.id', '=', agentId)
    .where('tasks.status', 'in', ['queued', 'running', 'paused'])
    .executeTakeFirst()
}

/** True if the task has ended. */
export function isEnded({ status }: TaskRow): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled'
}

/** The end of a task. */
export type TaskEnd = TaskResult | { status: 'cancelled'; error: { code: string; message: string } }

/** Stores the end of a task and emits its event: one `output` or one `error`. */
export async function endTask(unit: UnitOfWork, task: TaskRow, end: TaskEnd): Promise<void> {
  const text = end.status === 'completed' ? (end.answer.text ?? '') : null
  const error = end.status === 'completed' ? null : end.error
  await unit.db
    .updateTable('tasks')
    .set({
      status: end.status,
      output: text,
      error: error && JSON.stringify(error),
      run_ms: task.run_ms,
      finished_at: unit.now,
    })
    .where('id', '=', task.id)
    .execute()
  if (error) await unit.emit(task.agent_id, 'error', { ...error, taskId: task.id })
  else await unit.emit(task.agent_id, 'output', { text, cost: toMoney(task.cost), taskId: task.id })
}

/** Marks the agent's active task as failed, in the transaction of the cause. */
export async function failTaskOf(unit: UnitOfWork, agentId: string, message: string): Promise<void> {
  const task = await activeTask(unit.db, agentId)
  if (task) await endTask(unit, task, { status: 'failed', error: { code: 'provider_error', message } })
}
