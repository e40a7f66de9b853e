/**
 * Tools for tasks that run in the background while the model does something else.
 *
 * @module
 */
import { z } from 'zod/v4'
import { NotFoundError } from '../errors.ts'
import type { Task } from '../wire.ts'
import { defineTool, requireCapability, type Tool } from './define-tool.ts'
import { costText, taskPrompt } from './run-task.ts'
import { money } from './schemas.ts'
import { truncate } from './model-text.ts'
import { ToolInputError } from './tool-input-error.ts'

/** Input of `start_task`. */
export interface StartTaskInput {
  task: string
}

/** Input of `get_task` and `cancel_task`. */
export interface TaskIdInput {
  taskId: string
}

/** Data of `start_task` and `cancel_task`. */
export interface TaskRefData {
  agentId: string
  taskId: string
}

/** Data of `get_task`: the task. Its output is cut to 30,000 characters, its prompt to 2,000. */
export type GetTaskData = Task

const maxChars = 30_000
const maxPromptChars = 2000
const taskId = z.string().min(1).max(128).describe('The id from start_task.')
const startInput: z.ZodType<StartTaskInput> = z.object({ task: taskPrompt })
const idInput: z.ZodType<TaskIdInput> = z.object({ taskId })
const ref: z.ZodType<TaskRefData> = z.object({ agentId: z.string(), taskId: z.string() }).passthrough()
const modelLoop = 'an agent with a model loop of its own'

const task: z.ZodType<GetTaskData> = z
  .object({
    id: z.string(),
    agentId: z.string(),
    status: z.string(),
    output: z.string().optional(),
    error: z.object({ code: z.string(), message: z.string() }).passthrough().optional(),
    cost: money,
  })
  .passthrough() as unknown as z.ZodType<GetTaskData> // any status passes: the status of a newer server must not fail the result

/** Rethrows an error. A 404 that names the task means that the task is unknown, not the sandbox. */
function rethrow(error: unknown, taskId: string): never {
  const isUnknownTask = NotFoundError.isInstance(error) && error.message.includes(taskId)
  throw isUnknownTask
    ? new ToolInputError(`There is no task ${taskId} in this sandbox. Use the id from start_task.`)
    : error
}

/**
 * Starts a task and does not wait for it.
 *
 * @example
 * ```ts
 * import { startTask } from '@theazo/core/tools'
 *
 * const { text } = await startTask.run({ task: 'Summarise report.csv' }, { sandbox: agent })
 * ```
 */
export const startTask: Tool<'start_task', StartTaskInput, TaskRefData> = defineTool({
  name: 'start_task',
  title: 'Start task',
  description:
    'Start a task of an autonomous agent in the sandbox without waiting for it. Read its status with get_task. ' +
    'An agent does one task at a time.',
  input: startInput,
  output: ref,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
  async run({ task }, { sandbox, signal }) {
    const start = requireCapability(sandbox.run?.bind(sandbox), 'start_task', modelLoop)
    signal?.throwIfAborted()
    // Without the signal: a later abort of this call must not cancel a task that should run in the background.
    await using run = await start(task)
    return { agentId: sandbox.id, taskId: await run.taskId }
  },
  toText: ({ taskId }) => `Started ${taskId}. Read its status with get_task.`,
})

/**
 * Reads a task.
 *
 * @example
 * ```ts
 * import { getTask } from '@theazo/core/tools'
 *
 * const { text } = await getTask.run({ taskId: await run.taskId }, { sandbox: agent })
 * ```
 */
export const getTask: Tool<'get_task', TaskIdInput, GetTaskData> = defineTool({
  name: 'get_task',
  title: 'Get task',
  description: 'Read a task that start_task has started: its status, and its answer after it has ended.',
  input: idInput,
  output: task,
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  async run({ taskId }, { sandbox, signal }) {
    const tasks = requireCapability(sandbox.tasks, 'get_task', modelLoop)
    const found = await tasks.get(taskId, { signal }).catch((error: unknown) => rethrow(error, taskId))
    const { prompt, output } = found
    return {
      ...found,
      prompt: truncate(prompt, maxPromptChars),
      ...(output !== undefined && { output: truncate(output, maxChars) }),
    }
  },
  toText({ id, status, output, error, cost }) {
    const parts = [`${id} is ${status}.`]
    if (output !== undefined) parts.push(output)
    if (error) parts.push(`${error.code}: ${error.message}`)
    parts.push(`[cost so far: ${costText(cost)}]`)
    return parts.join('\n')
  },
})

/**
 * Cancels a task.
 *
 * @example
 * ```ts
 * import { cancelTask } from '@theazo/core/tools'
 *
 * const { isError } = await cancelTask.run({ taskId: await run.taskId }, { sandbox: agent })
 * ```
 */
export const cancelTask: Tool<'cancel_task', TaskIdInput, TaskRefData> = defineTool({
  name: 'cancel_task',
  title: 'Cancel task',
  description: 'Cancel a task that start_task has started. What it did so far is not undone.',
  input: idInput,
  output: ref,
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  async run({ taskId }, { sandbox, signal }) {
    const tasks = requireCapability(sandbox.tasks, 'cancel_task', modelLoop)
    await tasks.cancel(taskId, { signal }).catch((error: unknown) => rethrow(error, taskId))
    return { agentId: sandbox.id, taskId }
  },
  toText: ({ taskId }) => `Cancelled ${taskId}.`,
})
