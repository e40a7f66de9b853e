import type { Delta } from './delta-writer.ts'
import type { ModelStep, PastTask, Step, ToolCall } from './model.ts'

/** The progress of a task, from which it continues after a pause or a restart. */
export interface TaskProgress {
  /** Completed steps, in order. */
  steps: Step[]
  /** The beginning of the next step's text, if a process was killed while the model wrote it. */
  writtenText: string
  /** Earlier tasks of the same conversation, oldest first. */
  history: PastTask[]
}

/** The end of a task's work. */
export type TaskResult =
  | { status: 'completed'; answer: ModelStep }
  | { status: 'failed'; error: { code: string; message: string } }

/** The reason for which the loop of a task has suspended itself: a cap, by its message, or a call that needs an approval. */
export type SuspensionCause = { limit: string } | { toolCall: ToolCall }

/**
 * The store, the bill and the events of one task. Each write is one transaction, and throws {@link TaskOverError} if the
 * task no longer runs. While the store cannot write, a write waits instead of failing: after a restart, a tool whose
 * result was not stored would run again.
 */
export interface TaskLog {
  /** Reads the progress. Clears the mark of an orderly shutdown: from now on a crash may interrupt a tool call. */
  progress(): Promise<TaskProgress>
  /** Stores a step, emits its events and bills it. @param runMs milliseconds that the task has run. */
  store(step: Step, runMs: number): Promise<void>
  emit(delta: Delta): Promise<void>
  end(result: TaskResult, runMs: number): Promise<void>
  /** Micro-cents that the session may still spend; undefined without a cap. */
  costLeft(): Promise<number | undefined>
}

/** Ends the work on a task, because it no longer runs according to the store. */
export class TaskOverError extends Error {}
