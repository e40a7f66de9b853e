import type { Delta } from '../engine/delta-writer.ts'
import type { ModelStep, PastTask, Step, ToolCall } from '../engine/model.ts'
import { type TaskLog, TaskOverError, type TaskProgress, type TaskResult } from '../engine/task-log.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import { newId } from '../ids.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import type { TaskRow } from '../store/tables.ts'
import { changeAgent } from './agent-changes.ts'
import type { AgentRecord } from './agent-rows.ts'
import { endTask } from './task-rows.ts'

/** The parts of the server that {@link StoredTaskLog} uses, and the task. */
export interface StoredTaskLogOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  agent: AgentRecord
  task: TaskRow
  /** True if no process has worked on the task, so it has no steps to read. False is always safe. */
  isNew: boolean
  /** True if the agent has no earlier task, so there is no history to read. False is always safe. */
  isFirst: boolean
  /** Ends a write that waits for the store. */
  abandoned: AbortSignal
  onError: (error: unknown) => void
}

/** Maximum number of earlier tasks in a conversation. Usually the context window is full sooner. */
const maxPastTasks = 50

/** The log of a task in the database. Before each write it checks that the task still runs. */
export class StoredTaskLog implements TaskLog {
  readonly #options: StoredTaskLogOptions
  #count = 0

  constructor(options: StoredTaskLogOptions) {
    this.#options = options
  }

  async progress(): Promise<TaskProgress> {
    const { database, agent, task, isNew, isFirst } = this.#options
    // From now on a call may be in flight if the process ends.
    if (task.is_suspended) {
      await this.#write(async ({ db }) => {
        await db.updateTable('tasks').set({ is_suspended: 0 }).where('id', '=', task.id).execute()
      })
    }
    const history = isFirst ? [] : await pastTasks(database, agent.id, task)
    if (isNew) return { steps: [], writtenText: '', history }
    const steps = (await stepsOf(database, [task.id])).get(task.id) ?? []
    this.#count = steps.length
    return { steps, writtenText: await writtenTextOf(database, agent.id, task.id), history }
  }

  async store(step: Step, runMs: number): Promise<void> {
    const { agent, task, limits, onError } = this.#options
    const number = this.#count
    await this.#write(async (unit) => {
      await unit.db
        .insertInto('task_steps')
        .values({ task_id: task.id, number, step: JSON.stringify(step) })
        .execute()
      if (step.kind === 'tool') {
        const { id, tool, output, isError, durationMs } = step
        await unit.db.updateTable('tasks').set({ run_ms: runMs }).where('id', '=', task.id).execute()
        await unit.emit(agent.id, 'tool_result', { id, tool, output, isError, durationMs, taskId: task.id })
      } else if (step.kind === 'model') await this.#storeModelStep(unit, step, runMs)
      else if (step.kind === 'retry') await this.#emitRetry(unit, step.call)
    })
    this.#count += 1
    // Awaited: a step that reaches a cap must be the last one.
    if (step.kind === 'model' && agent.mode === 'live') await limits.enforceCaps(agent.session_id).catch(onError)
  }

  async emit({ type, ...data }: Delta): Promise<void> {
    const { agent, task } = this.#options
    await this.#write((unit) => unit.emit(agent.id, type, { ...data, taskId: task.id }))
  }

  async #emitRetry(unit: UnitOfWork, { id, tool, input }: ToolCall): Promise<void> {
    const { agent, task } = this.#options
    const data = { status: 'running', taskId: task.id, reason: 'retried_tool', toolCall: { id, tool, input } }
    await unit.emit(agent.id, 'status', data)
  }

  async end(result: TaskResult, runMs: number): Promise<void> {
    const { agent, task } = this.#options
    await this.#write(async (unit) => {
      const now = await unit.db.selectFrom('tasks').selectAll().where('id', '=', task.id).executeTakeFirstOrThrow()
      await endTask(unit, { ...now, run_ms: runMs }, result)
      await changeAgent(unit, agent.id, 'finish', { taskId: task.id })
    })
  }

  async costLeft(): Promise<number | undefined> {
    const { database, limits, agent } = this.#options
    return agent.mode === 'live' ? await limits.costLeft(database, agent.session_id) : undefined
  }

  async #storeModelStep(unit: UnitOfWork, step: ModelStep, runMs: number): Promise<void> {
    const { agent, task } = this.#options
    await this.#bill(unit, step, runMs)
    if (step.thinking && !step.isThinkingSent)
      await unit.emit(agent.id, 'thinking', { text: step.thinking, taskId: task.id })
    for (const { id, tool, input } of step.toolCalls) {
      await unit.emit(agent.id, 'tool_call', { id, tool, input, taskId: task.id })
    }
  }

  /** Adds the step's usage to the task, and bills it unless the key is a test key. */
  async #bill({ db, now }: UnitOfWork, { inputTokens, outputTokens, cost }: ModelStep, runMs: number): Promise<void> {
    const { agent, task } = this.#options
    await db
      .updateTable('tasks')
      .set((expression) => ({
        cost: expression('cost', '+', cost),
        input_tokens: expression('input_tokens', '+', inputTokens),
        output_tokens: expression('output_tokens', '+', outputTokens),
        run_ms: runMs,
      }))
      .where('id', '=', task.id)
      .execute()
    if (agent.mode === 'test') return
    await db
      .insertInto('model_usage')
      .values({
        id: newId('use'),
        task_id: task.id,
        session_id: agent.session_id,
        key_id: task.key_id,
        project: agent.project,
        at: now,
        input_tokens: inputTokens,
        output_tokens: outputTokens,
        cost,
      })
      .execute()
  }

  async #write(work: (unit: UnitOfWork) => Promise<void>): Promise<void> {
    const { events, task, abandoned } = this.#options
    await events.writeWithRetries(async (unit) => {
      const found = await unit.db.selectFrom('tasks').select('status').where('id', '=', task.id).executeTakeFirst()
      if (found?.status !== 'running') throw new TaskOverError(`Task ${task.id} is ${found?.status}.`)
      await work(unit)
    }, abandoned)
  }
}

/** The ended tasks of the conversation before this task: back to the latest one that began anew. */
async function pastTasks(database: Database, agentId: string, task: TaskRow): Promise<PastTask[]> {
  if (task.is_fresh) return []
  const rows = await database
    .selectFrom('tasks')
    .select(['id', 'prompt', 'is_fresh'])
    .where('agent_id', '=', agentId)
    .where('id', '<', task.id)
    .orderBy('id', 'desc')
    .limit(maxPastTasks)
    .execute()
  const fresh = rows.findIndex((row) => row.is_fresh)
  const past = (fresh === -1 ? rows : rows.slice(0, fresh + 1)).toReversed()
  if (past.length === 0) return []
  const ids = past.map(({ id }) => id)
  const steps = await stepsOf(database, ids)
  return past.map(({ id, prompt }) => ({ prompt, steps: steps.get(id) ?? [] }))
}

/** The stored steps, by task. */
async function stepsOf(database: Database, taskIds: readonly string[]): Promise<Map<string, Step[]>> {
  const rows = await database
    .selectFrom('task_steps')
    .select(['task_id', 'step'])
    .where('task_id', 'in', taskIds)
    .orderBy('task_id')
    .orderBy('number')
    .execute()
  const steps = new Map<string, Step[]>(taskIds.map((id) => [id, []]))
  for (const { task_id: id, step } of rows) steps.get(id)?.push(JSON.parse(step) as Step) // written by this program
  return steps
}

/**
 * The parts of a text that a task has emitted since its last step. A killed server may have emitted them; they must not
 * be emitted again.
 *
 * Empty if there are none, or if the log no longer goes back to the task's last step: an incomplete text is of no use.
 */
async function writtenTextOf(database: Database, agentId: string, taskId: string): Promise<string> {
  const ofAgent = database.selectFrom('events').where('agent_id', '=', agentId)
  // The last event before the current step: a step's event, or a status event of a start. The LIKE relies on changeAgent,
  // which writes `status` first.
  const last = await ofAgent
    .where('type', 'in', ['tool_call', 'tool_result', 'output', 'error', 'status'])
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
  const pieces = rows.map(({ data }) => JSON.parse(data) as { text: string; taskId: string; restart?: true })
  const own = pieces.filter((piece) => piece.taskId === taskId)
  const start = own.findLastIndex(({ restart }) => restart === true)
  return own
    .slice(Math.max(0, start))
    .map(({ text }) => text)
    .join('')
}
