/**
 * Tasks that go on while the model does something else: start, look, cancel.
 *
 * @module
 */
import { z } from 'zod/v4'
import { NotFoundError } from '../errors.ts'
import type { Task } from '../wire.ts'
import { defineTool, needed, type Tool } from './define-tool.ts'
import { costText, taskPrompt } from './run-task.ts'
import { money } from './schemas.ts'
import { truncate } from './model-text.ts'
import { ToolInputError } from './tool-input-error.ts'

/** What the model gives `start_task`. */
export interface StartTaskInput {
  task: string
}

/** What the model gives `get_task` and `cancel_task`. */
export interface TaskIdInput {
  taskId: string
}

/** What `start_task` and `cancel_task` give programs. */
export interface TaskRefData {
  agentId: string
  taskId: string
}

/** What `get_task` gives programs: the task; its output is cut to 30,000 characters, its prompt to 2,000. */
export type GetTaskData = Task

const maxChars = 30_000
const maxPromptChars = 2000
const taskId = z.string().min(1).max(128).describe('The id that start_task gave.')
const startInput: z.ZodType<StartTaskInput> = z.object({ task: taskPrompt })
const idInput: z.ZodType<TaskIdInput> = z.object({ taskId })
const ref: z.ZodType<TaskRefData> = z.object({ agentId: z.string(), taskId: z.string() }).passthrough()
const loop = 'an agent with a model loop of its own'

const task: z.ZodType<GetTaskData> = z
  .object({
    id: z.string(),
    agentId: z.string(),
    status: z.string(),
    output: z.string().optional(),
    error: z.object({ code: z.string(), message: z.string() }).passthrough().optional(),
    cost: money,
  })
  .passthrough() as unknown as z.ZodType<GetTaskData> // loose on purpose: a newer status must not lose the result

/** A 404 that names the task is about the task, and not about the sandbox. */
function refuse(error: unknown, taskId: string): never {
  const isUnknownTask = NotFoundError.isInstance(error) && error.message.includes(taskId)
  throw isUnknownTask
    ? new ToolInputError(`There is no task ${taskId} of this sandbox. Give the id of start_task.`)
    : error
}

/** Starts a task and does not wait for it. */
export const startTask: Tool<'start_task', StartTaskInput, TaskRefData> = defineTool({
  name: 'start_task',
  title: 'Start task',
  description:
    'Start a task of an autonomous agent in the sandbox without waiting for it. Ask for its state with get_task. ' +
    'An agent does one task at a time.',
  input: startInput,
  output: ref,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
  async run({ task }, { sandbox, signal }) {
    const start = needed(sandbox.run?.bind(sandbox), 'start_task', loop)
    signal?.throwIfAborted()
    // Not given the signal: an abort of this call after the start must not cancel what was to go on by itself.
    await using run = await start(task)
    return { agentId: sandbox.id, taskId: await run.taskId }
  },
  toText: ({ taskId }) => `Started ${taskId}. Ask for its state with get_task.`,
})

/** Looks at a task. */
export const getTask: Tool<'get_task', TaskIdInput, GetTaskData> = defineTool({
  name: 'get_task',
  title: 'Get task',
  description: 'Look at a task that start_task has started: its state, and its answer once it has ended.',
  input: idInput,
  output: task,
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  async run({ taskId }, { sandbox, signal }) {
    const tasks = needed(sandbox.tasks, 'get_task', loop)
    const found = await tasks.get(taskId, { signal }).catch((error: unknown) => refuse(error, taskId))
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

/** Cancels a task. */
export const cancelTask: Tool<'cancel_task', TaskIdInput, TaskRefData> = defineTool({
  name: 'cancel_task',
  title: 'Cancel task',
  description: 'Cancel a task that start_task has started. What it did so far stays done.',
  input: idInput,
  output: ref,
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  async run({ taskId }, { sandbox, signal }) {
    const tasks = needed(sandbox.tasks, 'cancel_task', loop)
    await tasks.cancel(taskId, { signal }).catch((error: unknown) => refuse(error, taskId))
    return { agentId: sandbox.id, taskId }
  },
  toText: ({ taskId }) => `Cancelled ${taskId}.`,
})
