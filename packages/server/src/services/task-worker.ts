import { type Clock, endsWithin } from '../clock.ts'
import type { Model } from '../engine/model.ts'
import type { SuspensionCause } from '../engine/task-log.ts'
import type { TaskRun, TaskRunEnd } from '../engine/task-run.ts'
import { ApiError } from '../errors.ts'
import type { Mode, TaskRow } from '../store/tables.ts'
import { changeAgent } from './agent-changes.ts'
import { type AgentRecord, committedAgent, committedTask } from './agent-rows.ts'
import type { JobEnd, TaskJob } from './task-queue.ts'
import { failTaskOf } from './task-rows.ts'
import { startTask, type TaskParts, type TaskStart } from './task-start.ts'

/** Returns the model of an agent; undefined if this server has no such model. */
export type ModelFor = (mode: Mode, modelId: string | null) => Model | undefined

/** The parts of the server that {@link TaskWorker} uses. */
export interface TaskWorkerOptions extends TaskParts {
  clock: Clock
  modelFor: ModelFor
}

/** A job that this process works on. */
interface ActiveJob {
  taskId: string
  /** The current loop. A suspended one stays until its pause is stored: it knows how long the task has run. */
  run: TaskRun
  end: PromiseWithResolvers<JobEnd>
}

/** The loops of the tasks that this process works on. */
export class TaskWorker {
  readonly #options: TaskWorkerOptions
  /** By agent: an agent works on one task at a time. */
  readonly #active = new Map<string, ActiveJob>()
  #isClosed = false
  /** Pauses an agent whose task has suspended itself, for a spend cap or an approval. Set by `createServer`: Pauses needs the worker. */
  onSuspended: (agentId: string, taskId: string, cause: SuspensionCause) => Promise<void> = async () => {}

  constructor(options: TaskWorkerOptions) {
    this.#options = options
  }

  /** Number of tasks that run in this process, or wait until their pause is stored. */
  get count(): number {
    return this.#active.size
  }

  /**
   * Works on a job, as the handler of a {@link TaskQueue}. The loop has started when the call returns its promise.
   *
   * A job is dropped if its task does not run according to the store. If this process works on its task already, it ends with
   * the job before.
   */
  async work({ agentId, taskId, isNew, isFirst }: TaskJob, isRecovered: boolean): Promise<JobEnd> {
    if (this.#isClosed) return 'again'
    const rows = this.#runningRows(agentId, taskId)
    const known = this.#active.get(agentId)
    if (!rows) return 'done'
    // Also while the loop is suspended and its pause is not stored yet: the job then ends with that pause.
    if (known?.taskId === taskId) return await known.end.promise
    const mayHaveCallInFlight = rows.task.is_suspended === 0
    const run = this.#start(rows, { isNew: isNew && !isRecovered, isFirst, mayHaveCallInFlight })
    if (!run) return await this.#failWithoutModel(agentId)
    const job: ActiveJob = { taskId, run, end: Promise.withResolvers() }
    this.#active.set(agentId, job)
    void this.#follow(agentId, job)
    return await job.end.promise
  }

  /** True if a loop works for the agent: it has neither ended nor stopped after a {@link suspend}. */
  isWorking(agentId: string): boolean {
    return this.#active.get(agentId)?.run.isWorking ?? false
  }

  /** True if a call of the task may have begun that is not stored. */
  mayHaveCallInFlight({ agent_id: agentId, id, is_suspended: isSuspended }: TaskRow): boolean {
    const job = this.#active.get(agentId)
    return job?.taskId === id ? job.run.mayHaveCallInFlight : isSuspended === 0
  }

  /** Milliseconds that the task has run, without pauses. */
  runMs({ agent_id: agentId, id, run_ms: stored }: TaskRow): number {
    const job = this.#active.get(agentId)
    return job?.taskId === id ? job.run.runMs : stored
  }

  /** Suspends the agent's task, if it has one. Resolves when the current step has ended; no step follows. */
  async suspend(agentId: string, holder: object): Promise<TaskRunEnd | undefined> {
    return await this.#active.get(agentId)?.run.suspend(holder)
  }

  /** Reverts a {@link suspend}: the task continues. */
  unsuspend(agentId: string, holder: object): void {
    const job = this.#active.get(agentId)
    if (!job?.run.unsuspend(holder) || this.#isClosed) return
    const rows = this.#runningRows(agentId, job.taskId)
    const { runMs, mayHaveCallInFlight } = job.run
    const run = rows && this.#start({ ...rows, task: { ...rows.task, run_ms: runMs } }, { mayHaveCallInFlight })
    if (!run) return this.#end(agentId, job)
    job.run = run
    void this.#follow(agentId, job)
  }

  /** Ends the work on the agent's task, and kills its current step: the task has ended or is paused in the store. */
  stop(agentId: string, reason: ApiError): void {
    const job = this.#active.get(agentId)
    if (!job) return
    if (job.run.isWorking) job.run.stop(reason)
    this.#end(agentId, job)
  }

  /** Stops all tasks after their current step, or during it after the timeout. The next process resumes them. */
  async close(timeoutMs: number): Promise<void> {
    const { clock, onError } = this.#options
    this.#isClosed = true
    const active = [...this.#active]
    await endsWithin(clock, timeoutMs, Promise.all(active.map(([, { run }]) => run.suspend(this))))
    for (const [, { run }] of active) run.abandon() // no effect on a loop that has stopped
    for (const [, job] of active) {
      await job.run.done
      await this.#storeStop(job).catch(onError) // the others must end too
      job.end.resolve('again')
    }
  }

  /** The time so far counts against the agent's timeout in the next process too. */
  async #storeStop({ taskId, run }: ActiveJob): Promise<void> {
    await this.#options.database
      .updateTable('tasks')
      .set({ run_ms: run.runMs, is_suspended: run.mayHaveCallInFlight ? 0 : 1 })
      .where('id', '=', taskId)
      .where('status', '=', 'running')
      .execute()
  }

  /** The rows of the task, if it runs. Synchronous: no pause or cancel comes between the read and the start. */
  #runningRows(agentId: string, taskId: string): RunningRows | undefined {
    const { database } = this.#options
    const agent = committedAgent(database, agentId)
    const task = committedTask(database, taskId)
    if (!agent || !task || agent.task_id !== taskId) return undefined
    return agent.status === 'running' && task.status === 'running' ? { agent, task } : undefined
  }

  /** Starts the loop of a task; undefined if this server does not have its model. */
  #start({ agent, task }: RunningRows, start: TaskStart = {}): TaskRun | undefined {
    const { modelFor, onError } = this.#options
    const model = modelFor(agent.mode, agent.model_id)
    if (!model) return undefined
    const onSuspended = (cause: SuspensionCause): void =>
      void this.onSuspended(agent.id, task.id, cause).catch((error: unknown) => {
        // The task has ended, or a caller pauses the agent.
        if (!(error instanceof ApiError && error.code === 'conflict')) onError(error)
      })
    return startTask({ ...this.#options, ...start, agent, task, model, onSuspended })
  }

  async #follow(agentId: string, job: ActiveJob): Promise<void> {
    if ((await job.run.done) === 'ended') this.#end(agentId, job)
  }

  #end(agentId: string, job: ActiveJob): void {
    if (this.#active.get(agentId) === job) this.#active.delete(agentId)
    job.end.resolve('done')
  }

  async #failWithoutModel(agentId: string): Promise<JobEnd> {
    await this.#options.events.writeWithRetries(async (unit) => {
      await failTaskOf(unit, agentId, 'This server no longer has the model of this task.')
      await changeAgent(unit, agentId, 'finish')
    })
    return 'done'
  }
}

interface RunningRows {
  agent: AgentRecord
  task: TaskRow
}
