import type { RunAccepted, Task } from '@theazo/core'
import { type Clock, endsWithin } from '../clock.ts'
import { ApiError } from '../errors.ts'
import type { EventLog, Unit } from '../events/event-log.ts'
import type { Model } from '../engine/model.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import type { Mode, TaskRow } from '../store/tables.ts'
import { changeAgent } from './agent-changes.ts'
import { assertCan, assertLives } from './agent-lifecycle.ts'
import { type AgentRecord, agentRecord, findAgent, toWireTask } from './agent-rows.ts'
import type { Execs } from './execs.ts'
import type { Executions } from './executions.ts'
import type { ProjectStore } from './project-store.ts'
import type { Sandboxes } from './sandboxes.ts'
import { endTask, failTaskOf, findTask, isEnded, newTask, taskUnderWay } from './task-rows.ts'
import { TaskRun } from './task-run.ts'

/** The model of an agent; undefined where this server has none for it. */
export type ModelFor = (mode: Mode, modelId: string | null) => Model | undefined

/** What runs need of the server. */
export interface RunsOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  store: ProjectStore
  sandboxes: Sandboxes
  executions: Executions
  execs: Execs
  clock: Clock
  modelFor: ModelFor
  onError: (error: unknown) => void
}

/** Tasks of agents, and the loops that work on them (contract, Agents: run). */
export class Runs {
  readonly #options: RunsOptions
  /** By agent: an agent works on one task at a time. */
  readonly #active = new Map<string, TaskRun>()
  #isClosed = false

  constructor(options: RunsOptions) {
    this.#options = options
  }

  /** How many tasks are worked on now. */
  get count(): number {
    return this.#active.size
  }

  /**
   * Begins a task; it goes on in the background.
   *
   * @param taskId of the new task, where the caller has reserved one.
   * @throws {ApiError} 404, 422 where the agent has no model, 409, 402.
   */
  async start(principal: Principal, id: string, prompt: string, taskId = newId('task')): Promise<RunAccepted> {
    const { database, events, sandboxes, executions, limits, store } = this.#options
    await sandboxes.ready(id)
    using execution = await executions.begin(id) // a pause waits until its loop is there
    const asIs = await findAgent(database, principal, id)
    assertLives(asIs)
    this.#modelOf(asIs).assertAccepts?.(prompt)
    await events.write(async (unit) => {
      const agent = await findAgent(unit.db, principal, id)
      assertLives(agent)
      await limits.assertWithin(unit.db, agent.session_id)
      assertCan('run', agent)
      await store.assertRoom(unit.db, principal.project)
      execution.accept()
      this.#assertOpen()
      const task = newTask(taskId, id, principal.keyId, prompt, unit.now)
      await unit.db.insertInto('tasks').values(task).execute()
      await unit.db.updateTable('agents').set({ task_id: taskId }).where('id', '=', id).execute()
      await changeAgent(unit, id, 'run', { taskId })
      unit.afterwards(() => this.#work({ ...agent, task_id: taskId }, task, true))
    })
    return { taskId, agentId: id }
  }

  /** @throws {ApiError} 404. */
  async get(principal: Principal, agentId: string, taskId: string): Promise<Task> {
    await findAgent(this.#options.database, principal, agentId)
    return toWireTask(await findTask(this.#options.database, agentId, taskId))
  }

  /** Ends a task without an answer; again is fine. @throws {ApiError} 404, 409 where it has ended by itself. */
  async cancel(principal: Principal, agentId: string, taskId: string): Promise<void> {
    await this.#options.events.write(async (unit) => {
      const agent = await findAgent(unit.db, principal, agentId)
      const task = await findTask(unit.db, agentId, taskId)
      if (task.status === 'cancelled') return
      assertLives(agent)
      if (isEnded(task)) throw new ApiError('conflict', `Task ${taskId} is ${task.status} already.`)
      const error = { code: 'cancelled', message: 'The task was cancelled.' }
      await endTask(unit, task, { status: 'cancelled', error })
      await changeAgent(unit, agentId, 'finish', { taskId })
      unit.afterwards(() => this.#stop(agentId, new ApiError('conflict', error.message)))
    })
  }

  /** Resolves when the agent's task, where it has one, stands between two steps; it does not go on by itself then. */
  async suspend(agentId: string, by: object): Promise<void> {
    await this.#active.get(agentId)?.suspend(by)
  }

  /** Takes back a {@link suspend} that was not waited for: the task goes on. */
  async unsuspend(agentId: string, by: object): Promise<void> {
    const run = this.#active.get(agentId)
    if (!run?.unsuspend(by)) return
    const { database } = this.#options
    const agent = await agentRecord(database, agentId)
    const task = agent && (await taskUnderWay(database, agentId))
    if (agent?.status === 'running' && task?.status === 'running') this.#work(agent, { ...task, run_ms: run.runMs })
  }

  /** Notes in the agent's task that it is paused; by a limit, with the event that tells so. */
  async pauseTask(unit: Unit, agent: AgentRecord, limit?: string): Promise<string | undefined> {
    const task = await taskUnderWay(unit.db, agent.id)
    if (!task) return undefined
    const runMs = this.#active.get(agent.id)?.runMs ?? task.run_ms
    await unit.db.updateTable('tasks').set({ status: 'paused', run_ms: runMs }).where('id', '=', task.id).execute()
    if (limit !== undefined) {
      const error = { code: 'session_limit_exceeded', message: limit, resumable: true, taskId: task.id }
      await unit.emit(agent.id, 'error', error)
    }
    unit.afterwards(() => this.#active.delete(agent.id))
    return task.id
  }

  /** Lets the agent's task, where it has one that is not ended, go on once the transaction is kept. */
  async goOn(unit: Unit, agent: AgentRecord): Promise<string | undefined> {
    const task = await taskUnderWay(unit.db, agent.id)
    if (!task) return undefined
    this.#modelOf(agent) // or whoever resumes is told
    this.#assertOpen()
    const runMs = this.#active.get(agent.id)?.runMs ?? task.run_ms
    await unit.db.updateTable('tasks').set({ status: 'running', run_ms: runMs }).where('id', '=', task.id).execute()
    unit.afterwards(() => this.#work(agent, { ...task, run_ms: runMs }))
    return task.id
  }

  /** Ends the agent's task because the agent ends; part of the transaction that ends the agent. */
  async terminateTask(unit: Unit, agent: AgentRecord): Promise<void> {
    const task = await taskUnderWay(unit.db, agent.id)
    const error = { code: 'terminated', message: `Agent ${agent.id} was terminated.` }
    if (task) await endTask(unit, task, { status: 'cancelled', error })
    unit.afterwards(() => this.#stop(agent.id, new ApiError('conflict', error.message)))
  }

  /** Goes on with what an earlier process of this server left. */
  async recover(): Promise<void> {
    const { database, events } = this.#options
    const running = await database.selectFrom('agents').select('id').where('status', '=', 'running').execute()
    for (const { id } of running) {
      await events.write(async (unit) => {
        const agent = await agentRecord(unit.db, id)
        if (!agent) return
        if (this.#options.modelFor(agent.mode, agent.model_id)) return void (await this.goOn(unit, agent))
        await failTaskOf(unit, agent.id, 'This server has no model for the task any more.')
        await changeAgent(unit, agent.id, 'finish')
      })
    }
  }

  /** Stops all tasks between two steps, or where they are after a while. Another process goes on with them. */
  async close(timeoutMs: number): Promise<void> {
    const { clock, database } = this.#options
    this.#isClosed = true
    const active = [...this.#active]
    await endsWithin(clock, timeoutMs, Promise.all(active.map(([, run]) => run.suspend(this))))
    for (const [agentId, run] of active) {
      run.abandon()
      await run.done
      // What it has run counts against its agent's timeout, wherever it goes on.
      await database
        .updateTable('tasks')
        .set({ run_ms: run.runMs })
        .where('agent_id', '=', agentId)
        .where('status', '=', 'running')
        .execute()
    }
  }

  /** @throws {ApiError} 502 where the server is on its way to end: nobody would work on the task. */
  #assertOpen(): void {
    if (this.#isClosed) throw new ApiError('provider_error', 'The server is shutting down and begins nothing new.')
  }

  #work(agent: AgentRecord, task: TaskRow, isNew = false): void {
    const run = new TaskRun({ ...this.#options, agent, task, isNew, model: this.#modelOf(agent) })
    this.#active.set(agent.id, run)
    void this.#forget(agent.id, run)
  }

  /** A suspended one is kept until its pause is written: it knows how long it ran. */
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
    const missing = 'no model is configured on this server, which a task needs; exec runs code without one'
    throw ApiError.invalid({ model: [missing] })
  }
}
