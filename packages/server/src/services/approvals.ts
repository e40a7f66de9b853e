import type { ApprovalStep, ToolCall } from '../engine/model.ts'
import { ApiError } from '../errors.ts'
import type { UnitOfWork } from '../events/event-log.ts'
import type { TaskRow } from '../store/tables.ts'
import type { AgentRecord } from './agent-rows.ts'

/** A person's answer to a call that waits for an approval. */
export interface ApprovalAnswer {
  approve: boolean
  /** The call that the person has seen; undefined if the caller does not say. */
  callId?: string | undefined
  /** For the model. */
  message?: string | undefined
}

/** The reason of a pause that the task needs to know. */
export interface TaskPauseReason {
  /** The message of a reached cap. */
  limit?: string | undefined
  /** The call that waits for an approval. */
  toolCall?: ToolCall | undefined
}

/**
 * Checks that a resume fits the task.
 *
 * @throws {ApiError} 409 if a call waits and there is no answer, if no call waits and there is an answer, or if the
 *   answer names another call.
 */
export function assertAnswerFits(
  { id }: AgentRecord,
  task: TaskRow | undefined,
  answer: ApprovalAnswer | undefined,
): void {
  const pending = task?.pending_call ?? null
  if (pending === null) {
    if (answer) throw new ApiError('conflict', `No tool call of agent ${id} waits for an approval: omit approve.`)
    return
  }
  const toolCall = JSON.parse(pending) as ToolCall // written by this program
  if (answer && (answer.callId ?? toolCall.id) === toolCall.id) return
  if (answer) {
    const message = `The approval names another call. Agent ${id} waits for the approval of call ${toolCall.id} of ${toolCall.tool}.`
    throw new ApiError('conflict', message, { details: { toolCall } })
  }
  const message = `A call of ${toolCall.tool} waits for an approval: resume with { "approve": true } or { "approve": false }.`
  throw new ApiError('conflict', `Agent ${id} is paused. ${message}`, { details: { toolCall } })
}

/** Stores the answer as a step of the task. */
export async function storeApproval(
  { db }: UnitOfWork,
  task: TaskRow,
  { approve, message }: ApprovalAnswer,
): Promise<void> {
  const { id } = JSON.parse(task.pending_call ?? '') as ToolCall // written by this program
  const { count } = await db
    .selectFrom('task_steps')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('task_id', '=', task.id)
    .executeTakeFirstOrThrow()
  const step: ApprovalStep = { kind: 'approval', id, approve, ...(message !== undefined && { message }) }
  await db
    .insertInto('task_steps')
    .values({ task_id: task.id, number: count, step: JSON.stringify(step) })
    .execute()
}
