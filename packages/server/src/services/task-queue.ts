import type { UnitOfWork } from '../events/event-log.ts'

/** Work on a task, as plain JSON: a queue may store it. The rest is read from the rows when the work starts. */
export interface TaskJob {
  agentId: string
  taskId: string
  /** True if no process has worked on the task, so it has no steps to read. False is always safe. */
  isNew: boolean
  /** True if the agent has no earlier task, so there is no history to read. False is always safe. */
  isFirst: boolean
}

/**
 * The end of a job: `done` if its task has ended or is paused; `again` if the process closes and the task still runs
 * according to the store.
 */
export type JobEnd = 'done' | 'again'

/**
 * Works on a job until its end. A job whose handler rejects is handed out again, at the latest at the next start.
 *
 * @param isRecovered true if the job was handed out before, to a process that has ended.
 */
export type TaskHandler = (job: TaskJob, isRecovered: boolean) => Promise<JobEnd>

/**
 * Takes tasks from the calls that accept them to the worker.
 *
 * - A job is stored in the transaction that starts or resumes its task, and handed out after the commit.
 * - It is handed out again, at the next start or to another process, if the process ends before the job is `done`.
 * - It is handed out at least once. So the handler reads the rows first, drops a job whose task does not run, and makes no
 *   second loop.
 *
 * A queue may hand out long after the commit. A pause or a cancel that comes first finds no loop to stop: it changes the
 * row, and the handler then drops the job. A resume adds another job.
 */
export interface TaskQueue {
  /** Adds a job in a transaction: nothing is handed out if that fails. */
  add(unit: UnitOfWork, job: TaskJob): Promise<void>
  /** Starts to hand out jobs, first those that an earlier process left. Call it once, before the first {@link add}. */
  work(handler: TaskHandler): Promise<void>
  /** Hands out nothing more. The other jobs wait for the next start. */
  close(): Promise<void>
}
