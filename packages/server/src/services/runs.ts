import type { RunAccepted, Task } from '@theazo/core'
import { ApiError, shuttingDown } from '../errors.ts'
import type { EventLog, UnitOfWork } from '../events/event-log.ts'
import type { Model } from '../engine/model.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import { changeAgent } from './agent-changes.ts'
import { assertCan, assertNotEnded } from './agent-lifecycle.ts'
import { type AgentRecord, findAgent, toWireTask } from './agent-rows.ts'
import { type ApprovalAnswer, assertAnswerFits, type TaskPauseReason, storeApproval } from './approvals.ts'
import type { AgentActivity } from './agent-activity.ts'
import type { ProjectStore } from './project-store.ts'
import type { Sandboxes } from './sandboxes.ts'
import type { TaskQueue } from './task-queue.ts'
import { activeTask, endTask, findTask, isEnded, newTask } from './task-rows.ts'
import type { ModelFor, TaskWorker } from './task-worker.ts'

/** The parts of the server that {@link Runs} uses. */
export interface RunsOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  store: ProjectStore
  sandboxes: Sandboxes
  activity: AgentActivity
  queue: TaskQueue
  worker: TaskWorker
  modelFor: ModelFor
}

/** A run as a caller asks for it. */
export interface RunRequest {
  prompt: string
  /** True if the model must not see the agent's earlier tasks. Default false. */
  isFresh?: boolean | undefined
  /** A reserved id for the new task. */
  taskId?: string | undefined
}

/** Accepts, cancels, pauses and resumes the tasks of agents (contract, Agents: run). The worker runs their loops. */
export class Runs {
  readonly #options: RunsOptions
  #isClosed = false

  constructor(options: RunsOptions) {
    this.#options = options
  }

  /**
   * Starts a task, which runs in the background.
   *
   * @throws {ApiError} 404, 409, 402; 422 if the agent has no model; 502 while the server shuts down.
   */
  async start(principal: Principal, id: string, request: RunRequest): Promise<RunAccepted> {
    const { prompt, isFresh = false, taskId = newId('task') } = request
    const { database, events, sandboxes, activity, limits, store, queue } = this.#options
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
      await queue.add(unit, { agentId: id, taskId, isNew: true, isFirst: agent.task_id === null })
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
      unit.afterCommit(() => this.#options.worker.stop(agentId, new ApiError('conflict', error.message)))
    })
  }

  /** Marks the agent's active task as paused. Emits an `error` event if a cap is the cause. @returns the task's id. */
  async pauseTask(
    unit: UnitOfWork,
    agent: AgentRecord,
    { limit, toolCall }: TaskPauseReason,
  ): Promise<string | undefined> {
    const task = await activeTask(unit.db, agent.id)
    if (!task) return undefined
    const { worker } = this.#options
    const pending = toolCall ? JSON.stringify(toolCall) : task.pending_call
    const change = {
      status: 'paused',
      run_ms: worker.runMs(task),
      pending_call: pending,
      is_suspended: worker.mayHaveCallInFlight(task) ? 0 : 1,
    } as const
    await unit.db.updateTable('tasks').set(change).where('id', '=', task.id).execute()
    if (limit !== undefined) {
      const error = { code: 'session_limit_exceeded', message: limit, resumable: true, taskId: task.id }
      await unit.emit(agent.id, 'error', error)
    }
    unit.afterCommit(() => worker.stop(agent.id, new ApiError('conflict', `Agent ${agent.id} was paused.`)))
    return task.id
  }

  /**
   * Resumes the agent's active task after the transaction commits.
   *
   * @returns the task's id; undefined without a task.
   * @throws {ApiError} 409 if the answer does not fit the waiting call, 422 without a model, 502 while the server shuts
   *   down.
   */
  async resumeTask(
    unit: UnitOfWork,
    agent: AgentRecord,
    answer: ApprovalAnswer | undefined,
  ): Promise<string | undefined> {
    const task = await activeTask(unit.db, agent.id)
    assertAnswerFits(agent, task, answer)
    if (!task) return undefined
    if (task.pending_call !== null && answer) await storeApproval(unit, task, answer)
    this.#modelOf(agent) // a missing model is an error of the resume call
    this.#assertOpen()
    const change = { status: 'running', pending_call: null } as const
    await unit.db.updateTable('tasks').set(change).where('id', '=', task.id).execute()
    await this.#options.queue.add(unit, { agentId: agent.id, taskId: task.id, isNew: false, isFirst: false })
    return task.id
  }

  /** Cancels the agent's active task, in the transaction that terminates the agent. */
  async terminateTask(unit: UnitOfWork, agent: AgentRecord): Promise<void> {
    const task = await activeTask(unit.db, agent.id)
    const error = { code: 'terminated', message: `Agent ${agent.id} was terminated.` }
    if (task) await endTask(unit, task, { status: 'cancelled', error })
    unit.afterCommit(() => this.#options.worker.stop(agent.id, new ApiError('conflict', error.message)))
  }

  /** Stops all tasks after their current step, or during it after the timeout. The next process resumes them. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosed = true
    await this.#options.queue.close()
    await this.#options.worker.close(timeoutMs)
  }

  /** @throws {ApiError} 502 while the server shuts down: the task would not run. */
  #assertOpen(): void {
    if (this.#isClosed) throw shuttingDown()
  }

  #modelOf({ mode, model_id: modelId }: AgentRecord): Model {
    const model = this.#options.modelFor(mode, modelId)
    if (model) return model
    const missing = 'is not configured on this server, and a task needs one; exec runs code without a model'
    throw ApiError.invalid({ model: [missing] })
  }
}
