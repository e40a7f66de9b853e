import type { Language } from '@theazo/core'
import type { Clock } from '../clock.ts'
import { runLoop } from '../engine/agent-loop.ts'
import type { Model, ModelStep, Step } from '../engine/model.ts'
import { callTool } from '../engine/tools.ts'
import { ApiError, SandboxEndedError } from '../errors.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import { newId } from '../ids.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import type { TaskRow } from '../store/tables.ts'
import { changeAgent } from './agent-changes.ts'
import type { AgentRecord } from './agent-rows.ts'
import { DeltaWriter } from './delta-writer.ts'
import type { Execs } from './execs.ts'
import { endTask, type TaskEnd } from './task-rows.ts'
import { noProgress, progressOf } from './task-progress.ts'

/** The parts of the server that a task needs, and the task. */
export interface TaskRunOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  execs: Execs
  clock: Clock
  agent: AgentRecord
  task: TaskRow
  /** True if no process has worked on the task yet. */
  isNew: boolean
  model: Model
  onError: (error: unknown) => void
}

/** The end of the work on a task in this process. */
export type EndedTask = 'ended' | 'suspended'

/** The loop of one task in this process. Before each write it checks in the store that the task still runs. */
export class TaskRun {
  /** Never rejects. */
  readonly done: Promise<EndedTask>
  readonly #options: TaskRunOptions
  readonly #abort = new AbortController()
  readonly #abandoned = new AbortController()
  readonly #startedAt: number
  /** The causes of a suspension: a pause and a cap may both apply. */
  readonly #suspends = new Set<object>()
  #stoppedAfterMs: number | undefined

  constructor(options: TaskRunOptions) {
    this.#options = options
    const { agent, task, clock } = options
    this.#startedAt = clock.monotonic()
    const timeoutError = new ApiError(
      'timeout',
      `The task ran longer than its agent's timeout of ${agent.timeout_seconds} s.`,
    )
    const stopDeadline = clock.after(agent.timeout_seconds * 1000 - task.run_ms, () => this.#abort.abort(timeoutError))
    this.done = this.#work().finally(() => {
      this.#stoppedAfterMs = clock.monotonic() - this.#startedAt
      stopDeadline()
    })
  }

  /** Milliseconds that the task has run, without pauses. */
  get runMs(): number {
    const { task, clock } = this.#options
    return Math.round(task.run_ms + (this.#stoppedAfterMs ?? clock.monotonic() - this.#startedAt))
  }

  /** Resolves when the present step has ended. The task has then ended, or is suspended. */
  async suspend(by: object): Promise<void> {
    this.#suspends.add(by)
    await this.done
  }

  /** Reverts one {@link suspend}. @returns true if the loop has stopped and no other cause remains: it must start again. */
  unsuspend(by: object): boolean {
    return this.#suspends.delete(by) && this.#suspends.size === 0 && this.#stoppedAfterMs !== undefined
  }

  /** Kills the present step, because the task has ended in the store. */
  stop(reason: ApiError): void {
    this.#abort.abort(reason)
  }

  /** Kills the present step, because the server ends. The next server runs the step again. */
  abandon(): void {
    this.#abandoned.abort()
    this.#abort.abort(new SandboxEndedError('The server was shut down while the task ran.'))
  }

  async #work(): Promise<EndedTask> {
    const { onError } = this.#options
    try {
      const answer = await this.#loop()
      if (!answer) return 'suspended'
      await this.#end({ status: 'completed', answer })
    } catch (error) {
      const { signal } = this.#abort
      if (error instanceof TaskOverError || (signal.aborted && signal.reason instanceof SandboxEndedError)) {
        return 'ended'
      }
      const failure = signal.aborted ? signal.reason : error
      if (!(failure instanceof ApiError)) onError(failure)
      const { code, message } = failure instanceof ApiError ? failure : unexpected
      await this.#end({ status: 'failed', error: { code, message } }).catch((late: unknown) => {
        if (!(late instanceof TaskOverError)) onError(late)
      })
    }
    return 'ended'
  }

  async #loop(): Promise<ModelStep | undefined> {
    const { database, agent, task, isNew, model, execs } = this.#options
    const { steps, writtenText } = isNew ? noProgress : await progressOf(database, agent.id, task.id)
    const { prompt } = task
    const tools = JSON.parse(agent.tools) as string[]
    let count = steps.length
    const deltas = new DeltaWriter(this.#options.clock, (text) =>
      this.#write((unit) => unit.emit(agent.id, 'output_delta', { text, taskId: task.id })),
    )
    return await runLoop({
      model,
      request: { taskId: task.id, instructions: agent.instructions, prompt, steps, tools, writtenText },
      callTool: (call, signal) => {
        const run = { id: agent.id, mode: agent.mode, exec: runner(execs, agent) }
        return callTool(call, run, signal)
      },
      store: async (step) => {
        await deltas.flush()
        await this.#store(step, count)
        count += 1
      },
      onDelta: (text) => deltas.push(text),
      shouldStop: () => this.#suspends.size > 0,
      signal: this.#abort.signal,
    })
  }

  async #store(step: Step, number: number): Promise<void> {
    const { agent, task, limits, onError } = this.#options
    await this.#write(async (unit) => {
      await unit.db
        .insertInto('task_steps')
        .values({ task_id: task.id, number, step: JSON.stringify(step) })
        .execute()
      if (step.kind === 'tool') {
        const { id, tool, output, isError, durationMs } = step
        return await unit.emit(agent.id, 'tool_result', { id, tool, output, isError, durationMs, taskId: task.id })
      }
      await this.#count(unit, step)
      if (step.thinking) await unit.emit(agent.id, 'thinking', { text: step.thinking, taskId: task.id })
      for (const { id, tool, input } of step.toolCalls) {
        await unit.emit(agent.id, 'tool_call', { id, tool, input, taskId: task.id })
      }
    })
    // Awaited: a step that reaches a cap must be the last one.
    if (step.kind === 'model' && agent.mode === 'live') await limits.enforceCaps(agent.session_id).catch(onError)
  }

  /** Adds the step's usage to the task, and bills it unless the key is a test key. */
  async #count({ db, now }: UnitOfWork, { inputTokens, outputTokens, cost }: ModelStep): Promise<void> {
    const { agent, task } = this.#options
    await db
      .updateTable('tasks')
      .set((expression) => ({
        cost: expression('cost', '+', cost),
        input_tokens: expression('input_tokens', '+', inputTokens),
        output_tokens: expression('output_tokens', '+', outputTokens),
        run_ms: this.runMs,
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

  async #end(end: TaskEnd): Promise<void> {
    const { agent, task } = this.#options
    await this.#write(async (unit) => {
      const now = await unit.db.selectFrom('tasks').selectAll().where('id', '=', task.id).executeTakeFirstOrThrow()
      await endTask(unit, { ...now, run_ms: this.runMs }, end)
      await changeAgent(unit, agent.id, 'finish', { taskId: task.id })
    })
  }

  /**
   * Writes only while the task runs according to the store: it may have been cancelled, or its agent terminated. While the
   * store cannot write, the result of a step waits: a tool must not be called twice.
   */
  async #write(work: (unit: UnitOfWork) => Promise<void>): Promise<void> {
    const { events, task } = this.#options
    await events.writeWithRetries(async (unit) => {
      const found = await unit.db.selectFrom('tasks').select('status').where('id', '=', task.id).executeTakeFirst()
      if (found?.status !== 'running') throw new TaskOverError(`Task ${task.id} is ${found?.status}.`)
      await work(unit)
    }, this.#abandoned.signal)
  }
}

/** Ends the loop, because the task no longer runs according to the store. */
class TaskOverError extends Error {}

const unexpected = { code: 'internal_error', message: 'Unexpected server error.' } as const

/** Returns a function that runs code of a tool in the agent's sandbox. */
function runner(execs: Execs, agent: AgentRecord) {
  return async (lang: Language, code: string, signal: AbortSignal) => {
    const hold = execs.holdOutput(agent)
    try {
      return await execs.run(agent, { lang, code }, { signal, hold })
    } finally {
      hold.release()
    }
  }
}
