import type { UnitOfWork } from '../events/event-log.ts'
import type { Database } from '../store/database.ts'
import type { TaskHandler, TaskJob, TaskQueue } from './task-queue.ts'

/** The parts of the server that {@link InProcessTaskQueue} uses. */
export interface InProcessTaskQueueOptions {
  database: Database
  /** Called with the error of a handler. */
  onError: (error: unknown) => void
}

/**
 * A queue for the one process of a database. It stores nothing: the row of a running task is its job.
 *
 * It calls the handler synchronously after the commit, before the answer of the call that started the task. So a pause or
 * a cancel that follows finds the loop.
 */
export class InProcessTaskQueue implements TaskQueue {
  readonly #options: InProcessTaskQueueOptions
  #handler: TaskHandler | undefined
  #isClosed = false

  constructor(options: InProcessTaskQueueOptions) {
    this.#options = options
  }

  async add(unit: UnitOfWork, job: TaskJob): Promise<void> {
    unit.afterCommit(() => this.#handOut(job, false))
  }

  async work(handler: TaskHandler): Promise<void> {
    this.#handler = handler
    const left = await this.#options.database
      .selectFrom('agents')
      .select(['id', 'task_id'])
      .where('status', '=', 'running')
      .orderBy('task_id')
      .execute()
    for (const { id: agentId, task_id: taskId } of left) {
      if (taskId !== null) this.#handOut({ agentId, taskId, isNew: false, isFirst: false }, true)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #handOut(job: TaskJob, isRecovered: boolean): void {
    if (this.#isClosed) return
    void this.#handler?.(job, isRecovered).catch(this.#options.onError)
  }
}
