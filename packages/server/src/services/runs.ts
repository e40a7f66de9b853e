import type { RunAccepted, Task } from '@theazo/core'
import { type Clock, endsWithin } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import type { Model } from '../engine/model.ts'
import type { TaskRun, TaskRunOptions } from '../engine/task-run.ts'
import type { ToolRegistry } from '../engine/tool-registry.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import type { Mode, TaskRow } from '../store/tables.ts'
import { changeAgent } from './agent-changes.ts'
import { assertCan, assertNotEnded } from './agent-lifecycle.ts'
import { type AgentRecord, agentRecord, findAgent, toWireTask } from './agent-rows.ts'
import type { Execs } from './execs.ts'
import {
  type ApprovalAnswer,
  assertAnswered,
  type PauseReason,
  storeApproval,
  type SuspensionCause,
} from './approvals.ts'
import type { AgentActivity } from './agent-activity.ts'
import type { ProjectStore } from './project-store.ts'
import type { Sandboxes } from './sandboxes.ts'
import { activeTask, endTask, failTaskOf, findTask, isEnded, newTask } from './task-rows.ts'
import { startTask, type TaskStart } from './task-start.ts'

/** Returns the model of an agent; undefined if this server has no such model. */
export type ModelFor = (mode: Mode, modelId: string | null) => Model | undefined

/** The parts of the server that {@link Runs} uses. */
export interface RunsOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  store: ProjectStore
  sandboxes: Sandboxes
  activity: AgentActivity
  execs: Execs
  clock: Clock
  modelFor: ModelFor
  /** Tools of agents, by the mode of their keys. */
  tools: Record<Mode, ToolRegistry>
  /** Counts the calls of live keys. */
  observer: TaskRunOptions['observer']
  onError: (error: unknown) => void
}

/** A run as a caller asks for it. */
export interface RunRequest {
  prompt: string
  /** True if the model must not see the agent's earlier tasks. Default false. */
  isFresh?: boolean | undefined
  /** A reserved id for the new task. */
  taskId?: string | undefined
}

/** Tasks of agents, and the loops that work on them (contract, Agents: run). */
export class Runs {
  readonly #options: RunsOptions
  /** By agent: an agent works on one task at a time. */
  readonly #active = new Map<string, TaskRun>()
  #isClosed = false
  /** Pauses an agent whose task is suspended: a model call is too expensive, or a person must approve a call. */
  onSuspended: (agentId: string, cause: SuspensionCause) => Promise<void> = async () => {}

  constructor(options: RunsOptions) {
    this.#options = options
  }

  /** Number of tasks that run in this process. */
  get count(): number {
    return this.#active.size
  }

  /**
   * Starts a task, which runs in the background.
   *
   * @throws {ApiError} 404, 422 if the agent has no model, 409, 402.
   */
  async start(principal: Principal, id: string, request: RunRequest): Promise<RunAccepted> {
    const { prompt, isFresh = false, taskId = newId('task') } = request
    const { database, events, sandboxes, activity, limits, store } = this.#options
    await sandboxes.ready(id)
    using activeCall = await activity.begin(id) // a pause waits until the loop has started
    const asIs = await findAgent(database, principal, id)
    assertNotEnded(asIs)
    this.#modelOf(asIs).assertAccepts?.(prompt)
    await events.write(async (unit) => {
      const agent = await findAgent(unit.db, principal, id)
      assertNotEnded(agent)
      await limits.assertWithin(unit.db, agent.session_id)
      assertCan('run', agent)
      await store.assertRoom(unit.db, principal.project)
      activeCall.accept()
      this.#assertOpen()
      const task = newTask({ id: taskId, agentId: id, keyId: principal.keyId, prompt, isFresh, now: unit.now })
      await unit.db.insertInto('tasks').values(task).execute()
      await unit.db.updateTable('agents').set({ task_id: taskId }).where('id', '=', id).execute()
      await changeAgent(unit, id, 'run', { taskId })
      unit.afterCommit(() =>
        this.#work({ ...agent, task_id: taskId }, task, { isNew: true, isFirst: agent.task_id === null }),
      )
    })
    return { taskId, agentId: id }
  }

  /** @throws {ApiError} 404. */
  async get(principal: Principal, agentId: string, taskId: string): Promise<Task> {
    await findAgent(this.#options.database, principal, agentId)
    return toWireTask(await findTask(this.#options.database, agentId, taskId))
  }

  /** Cancels a task. May be repeated. @throws {ApiError} 404, 409 if the task has completed or failed. */
  async cancel(principal: Principal, agentId: string, taskId: string): Promise<void> {
    await this.#options.events.write(async (unit) => {
      const agent = await findAgent(unit.db, principal, agentId)
      const task = await findTask(unit.db, agentId, taskId)
      if (task.status === 'cancelled') return
      assertNotEnded(agent)
      if (isEnded(task)) throw new ApiError('conflict', `Task ${taskId} has ended already: it is ${task.status}.`)
      const error = { code: 'cancelled', message: 'The task was cancelled.' }
      await endTask(unit, task, { status: 'cancelled', error })
      await changeAgent(unit, agentId, 'finish', { taskId })
      unit.afterCommit(() => this.#stop(agentId, new ApiError('conflict', error.message)))
    })
  }

  /** Suspends the agent's task, if it has one. Resolves when the present step has ended; no step follows. */
  async suspend(agentId: string, by: object): Promise<void> {
    await this.#active.get(agentId)?.suspend(by)
  }

  /** Reverts a {@link suspend}: the task continues. */
  async unsuspend(agentId: string, by: object): Promise<void> {
    const run = this.#active.get(agentId)
    if (!run?.unsuspend(by)) return
    const { database } = this.#options
    const agent = await agentRecord(database, agentId)
    const task = agent && (await activeTask(database, agentId))
    if (agent?.status === 'running' && task?.status === 'running') this.#work(agent, { ...task, run_ms: run.runMs })
  }

  /** Marks the agent's active task as paused. Emits an `error` event if a cap is the cause. @returns the task's id. */
  async pauseTask(unit: UnitOfWork, agent: AgentRecord, { limit, toolCall }: PauseReason): Promise<string | undefined> {
    const task = await activeTask(unit.db, agent.id)
    if (!task) return undefined
    const runMs = this.#active.get(agent.id)?.runMs ?? task.run_ms
    const pending = toolCall ? JSON.stringify(toolCall) : task.pending_call
    const change = { status: 'paused', run_ms: runMs, pending_call: pending } as const
    await unit.db.updateTable('tasks').set(change).where('id', '=', task.id).execute()
    if (limit !== undefined) {
      const error = { code: 'session_limit_exceeded', message: limit, resumable: true, taskId: task.id }
      await unit.emit(agent.id, 'error', error)
    }
    unit.afterCommit(() => this.#active.delete(agent.id))
    return task.id
  }

  /**
   * Resumes the agent's active task after the transaction commits.
   *
   * @param isRecovered true if a process ended while the task ran.
   * @returns the task's id; undefined without a task.
   * @throws {ApiError} 409 if a call waits for an approval and there is no answer, or the other way round.
   */
  async resumeTask(
    unit: UnitOfWork,
    agent: AgentRecord,
    { answer, isRecovered = false }: ResumeOptions = {},
  ): Promise<string | undefined> {
    const task = await activeTask(unit.db, agent.id)
    assertAnswered(agent, task, answer)
    if (!task) return undefined
    if (task.pending_call !== null && answer) await storeApproval(unit, task, answer)
    this.#modelOf(agent) // a missing model is an error of the resume call
    this.#assertOpen()
    const runMs = this.#active.get(agent.id)?.runMs ?? task.run_ms
    const change = { status: 'running', run_ms: runMs, pending_call: null, is_suspended: 0 } as const
    // A server that ended in order has suspended its tasks between two steps.
    const mayRepeat = isRecovered && task.is_suspended === 0
    await unit.db.updateTable('tasks').set(change).where('id', '=', task.id).execute()
    unit.afterCommit(() => this.#work(agent, { ...task, run_ms: runMs }, { isRecovered: mayRepeat }))
    return task.id
  }

  /** Cancels the agent's active task, in the transaction that terminates the agent. */
  async terminateTask(unit: UnitOfWork, agent: AgentRecord): Promise<void> {
    const task = await activeTask(unit.db, agent.id)
    const error = { code: 'terminated', message: `Agent ${agent.id} was terminated.` }
    if (task) await endTask(unit, task, { status: 'cancelled', error })
    unit.afterCommit(() => this.#stop(agent.id, new ApiError('conflict', error.message)))
  }

  /** Resumes the running tasks of an earlier process. */
  async recover(): Promise<void> {
    const { database, events } = this.#options
    const running = await database.selectFrom('agents').select('id').where('status', '=', 'running').execute()
    for (const { id } of running) {
      await events.write(async (unit) => {
        const agent = await agentRecord(unit.db, id)
        if (!agent) return
        if (this.#options.modelFor(agent.mode, agent.model_id))
          return void (await this.resumeTask(unit, agent, { isRecovered: true }))
        await failTaskOf(unit, agent.id, 'This server no longer has the model of this task.')
        await changeAgent(unit, agent.id, 'finish')
      })
    }
  }

  /** Stops all tasks after their present step, or during it after the timeout. The next process resumes them. */
  async close(timeoutMs: number): Promise<void> {
    const { clock, database } = this.#options
    this.#isClosed = true
    const active = [...this.#active]
    await endsWithin(clock, timeoutMs, Promise.all(active.map(([, run]) => run.suspend(this))))
    for (const [, run] of active) run.abandon()
    for (const [agentId, run] of active) {
      const end = await run.done
      // The time so far counts against the agent's timeout in the next process too.
      await database
        .updateTable('tasks')
        .set({ run_ms: run.runMs, is_suspended: end === 'suspended' ? 1 : 0 })
        .where('agent_id', '=', agentId)
        .where('status', '=', 'running')
        .execute()
    }
  }

  /** @throws {ApiError} 502 while the server shuts down: the task would not run. */
  #assertOpen(): void {
    if (this.#isClosed)
      throw new ApiError('provider_error', 'The server is shutting down and accepts no new work. Try again later.')
  }

  #work(agent: AgentRecord, task: TaskRow, progress: TaskStart = {}): void {
    if (this.#isClosed) return // the next process continues the task
    const run = startTask({
      ...this.#options,
      ...progress,
      agent,
      task,
      model: this.#modelOf(agent),
      onSuspended: (cause) => void this.onSuspended(agent.id, cause).catch(this.#options.onError),
    })
    this.#active.set(agent.id, run)
    void this.#forget(agent.id, run)
  }

  /** Removes an ended run. A suspended run stays until its pause is stored: it knows how long the task has run. */
  async #forget(agentId: string, run: TaskRun): Promise<void> {
    const end = await run.done
    if (end !== 'suspended' && this.#active.get(agentId) === run) this.#active.delete(agentId)
  }

  #stop(agentId: string, reason: ApiError): void {
    this.#active.get(agentId)?.stop(reason)
    this.#active.delete(agentId)
  }

  #modelOf({ mode, model_id: modelId }: AgentRecord): Model {
    const model = this.#options.modelFor(mode, modelId)
    if (model) return model
    const missing = 'is not configured on this server, and a task needs one; exec runs code without a model'
    throw ApiError.invalid({ model: [missing] })
  }
}

interface ResumeOptions {
  answer?: ApprovalAnswer | undefined
  isRecovered?: boolean
}
