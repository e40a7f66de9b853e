import type { Step } from '../engine/model.ts'
import type { Database } from '../store/database.ts'

/** The progress of a task, from which it continues after a pause or a restart. */
export interface TaskProgress {
  /** Completed steps, in order. */
  steps: Step[]
  /** The beginning of the next step's answer, if a process was killed while it wrote the answer. */
  writtenText: string
}

/** Progress of a new task. */
export const noProgress: TaskProgress = { steps: [], writtenText: '' }

/** The stored progress of a task. */
export async function progressOf(database: Database, agentId: string, taskId: string): Promise<TaskProgress> {
  const rows = await database
    .selectFrom('task_steps')
    .select('step')
    .where('task_id', '=', taskId)
    .orderBy('number')
    .execute()
  const steps = rows.map(({ step }) => JSON.parse(step) as Step) // written by this program
  return { steps, writtenText: await writtenTextOf(database, agentId, taskId) }
}

/**
 * The parts of an answer that a task has emitted since its last step. A killed server may have emitted them; they must not
 * be emitted again.
 *
 * Empty if there are none, or if the log no longer goes back to the task's last step: an incomplete text is of no use.
 */
async function writtenTextOf(database: Database, agentId: string, taskId: string): Promise<string> {
  const ofAgent = database.selectFrom('events').where('agent_id', '=', agentId)
  // The events of steps and of starts of tasks. A status change during a restart of the server ends no step.
  const last = await ofAgent
    .where('type', 'in', ['thinking', 'tool_call', 'tool_result', 'output', 'error', 'status'])
    .where((where) => where.or([where('type', '!=', 'status'), where('data', 'like', '{"status":"running"%')]))
    .select('number')
    .orderBy('number', 'desc')
    .executeTakeFirst()
  if (!last) return ''
  const rows = await ofAgent
    .where('number', '>', last.number)
    .where('type', '=', 'output_delta')
    .select('data')
    .orderBy('number')
    .execute()
  const pieces = rows.map(({ data }) => JSON.parse(data) as { text: string; taskId: string })
  return pieces.flatMap((piece) => (piece.taskId === taskId ? piece.text : [])).join('')
}
