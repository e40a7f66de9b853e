/**
 * Tasks that go on while the model does something else: start, look, cancel.
 *
 * @module
 */
import { z } from 'zod/v4'
import type { Task } from '../wire.ts'
import { defineTool, needed, type Tool } from './define-tool.ts'
import { costText, taskPrompt } from './run-task.ts'
import { money } from './schemas.ts'
import { truncate } from './model-text.ts'

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
    const found = await needed(sandbox.tasks, 'get_task', loop).get(taskId, { signal })
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
    await needed(sandbox.tasks, 'cancel_task', loop).cancel(taskId, { signal })
    return { agentId: sandbox.id, taskId }
  },
  toText: ({ taskId }) => `Cancelled ${taskId}.`,
})
