import { z } from 'zod/v4'
import { TheazoError } from '../errors.ts'
import { withinTime } from '../transport/lifetime.ts'
import type { Money, Task } from '../wire.ts'
import { defineTool, requireCapability, type Tool } from './define-tool.ts'
import { money } from './schemas.ts'
import { turnOf } from './task-turns.ts'
import { truncate } from './model-text.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** Input of `run_task`. */
export interface RunTaskInput {
  task: string
  timeoutSeconds?: number | undefined
}

/** Data of `run_task`. */
export interface RunTaskData {
  agentId: string
  taskId: string
  output: string
  cost?: Money
  /** Tokens of all model calls of the task. Absent on a server without the extension `tasks`. */
  usage?: Task['usage']
}

const maxTimeoutSeconds = 3600
const defaultTimeoutSeconds = 600
const maxChars = 30_000

/** The schema of the prompt, for `run_task` and `start_task`. */
export const taskPrompt: z.ZodType<string> = z
  .string()
  .min(1)
  .describe('What to do and what to answer. The agent does not know this conversation: include everything it needs.')

const input: z.ZodType<RunTaskInput> = z.object({
  task: taskPrompt,
  timeoutSeconds: z
    .number()
    .int()
    .min(1)
    .max(maxTimeoutSeconds)
    .optional()
    .describe(`Seconds until the task is cancelled, 1 to ${maxTimeoutSeconds}. Default ${defaultTimeoutSeconds}.`),
})

const usage = z.object({ inputTokens: z.number(), outputTokens: z.number() }).passthrough()
const output: z.ZodType<RunTaskData> = z
  .object({
    agentId: z.string(),
    taskId: z.string(),
    output: z.string(),
    cost: money.optional(),
    usage: usage.optional(),
  })
  .passthrough() as z.ZodType<RunTaskData> // zod types an optional key as `| undefined`

/**
 * Starts a task in the agent's own model loop and waits for the answer.
 *
 * @example
 * ```ts
 * import { runTask } from '@theazo/core/tools'
 *
 * const { text } = await runTask.run({ task: 'Summarise report.csv', timeoutSeconds: 300 }, { sandbox: agent })
 * ```
 */
export const runTask: Tool<'run_task', RunTaskInput, RunTaskData> = defineTool({
  name: 'run_task',
  title: 'Run task',
  description:
    'Give a task to an autonomous agent that works in the sandbox with tools of its own, and wait for its answer. ' +
    'For long, self-contained work. For a single program, run_code is faster and cheaper.',
  input,
  output,
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
  async run({ task, timeoutSeconds: seconds = defaultTimeoutSeconds }, { sandbox, signal, report }) {
    const start = requireCapability(sandbox.run?.bind(sandbox), 'run_task', 'an agent with a model loop of its own')
    await using _turn = await turnOf(sandbox.id, signal)
    const timeoutMessage = `The task did not end within ${seconds} s and was cancelled.`
    // The abort of the run cancels the task, so that it does not continue unseen after the deadline.
    return await withinTime({ signal, timeoutMs: seconds * 1000, timeoutMessage }, async (either) => {
      await using run = await start(task, { signal: either })
      if (report) {
        await run.forward({
          onThinking: ({ type, text, thoughtId }) => report({ type, text, thoughtId }),
          onToolCall: ({ type, tool, callId, input }) => report({ type, tool, callId, input }),
          onToolResult: ({ type, tool, callId, output, isError }) => report({ type, tool, callId, output, isError }),
          onOutputDelta: ({ type, text, isRestart }) => report({ type, text, isRestart }),
          onError: () => {}, // run.result() throws the error
        })
      }
      const { taskId, output, cost } = await run.result()
      const usage = await usageOf(sandbox, taskId, either)
      return { agentId: sandbox.id, taskId, output: truncate(output, maxChars), ...(cost && { cost }), ...usage }
    })
  },
  toText: ({ output, cost }) => (cost ? `${output}\n[cost: ${costText(cost)}]` : output),
})

/** The tokens of a task; none if the server does not record tasks, or does not answer: the result matters more. */
async function usageOf(sandbox: ToolSandbox, taskId: string, signal: AbortSignal): Promise<Pick<RunTaskData, 'usage'>> {
  try {
    const task = await sandbox.tasks?.get(taskId, { signal })
    return task ? { usage: task.usage } : {}
  } catch (error) {
    if (signal.aborted || !TheazoError.isInstance(error)) throw error
    return {}
  }
}

/**
 * An amount as text, in dollars.
 *
 * @example
 * ```ts
 * import { costText } from '@theazo/core/tools'
 *
 * const text = costText({ amount: 12, currency: 'usd' }) // $0.12
 * ```
 */
export function costText({ amount }: Money): string {
  return `$${(amount / 100).toFixed(2)}`
}
