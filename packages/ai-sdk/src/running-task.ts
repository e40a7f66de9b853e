import { type RunTaskData, truncate, type ToolEvent } from '@theazo/core/tools'
import { z } from 'zod/v4'
import type { LiveCollector, LiveTool } from './live-tool.ts'
import { TextTail } from './text-tail.ts'

const maxAnswerChars = 8000
const maxThoughtChars = 2000
const maxSteps = 20
const maxStepChars = 1000

/** A tool call of the remote agent. */
export interface TaskStep {
  tool: string
  callId?: string
  status: 'running' | 'completed' | 'failed'
  /** Text, or JSON; cut to 1,000 characters. */
  input?: string
  /** Text, or JSON; cut to 1,000 characters. */
  output?: string
}

/** What a task has done so far: a preliminary result of `run_task`. */
export interface RunningTask {
  status: 'running'
  /** The last 8,000 characters of the answer so far. */
  output: string
  /** The last 2,000 characters of the last thought. */
  thinking: string
  /** The last 20 tool calls of the remote agent. */
  steps: TaskStep[]
  agentId?: undefined
  taskId?: undefined
  cost?: undefined
}

/**
 * The output of `run_task`: its result with the last 20 tool calls of the remote agent, or while the task runs, what it has
 * done so far.
 *
 * @example
 * ```ts
 * import type { RunTaskOutput } from '@theazo/ai-sdk'
 *
 * export function linesOf({ steps = [], output }: RunTaskOutput): string[] {
 *   return [...steps.map(({ tool, status }) => `${tool}: ${status}`), output]
 * }
 * ```
 */
export type RunTaskOutput =
  | RunningTask
  | (RunTaskData & { status?: undefined; thinking?: undefined; steps?: TaskStep[] })

const step: z.ZodType<TaskStep> = z.object({
  tool: z.string(),
  callId: z.string().optional(),
  status: z.enum(['running', 'completed', 'failed']),
  input: z.string().optional(),
  output: z.string().optional(),
}) as z.ZodType<TaskStep> // zod types an optional key as `| undefined`

const schema: z.ZodType<RunningTask> = z.object({
  status: z.literal('running'),
  output: z.string(),
  thinking: z.string(),
  steps: z.array(step),
})

export const runningTask: LiveTool<RunningTask> = {
  schema,
  collect: () => new TaskProgress(),
  toText({ steps, output }) {
    const calls = steps.map(({ tool, status }) => `[${tool}: ${status === 'running' ? 'stopped' : status}]\n`).join('')
    return `[The task was stopped before its end. Files that it wrote are kept. Its last steps and answer:]\n${calls}${output}`
  },
}

class TaskProgress implements LiveCollector<RunningTask> {
  #answer = new TextTail(maxAnswerChars)
  /** The answer at the last tool call: where it continues if the model begins its text anew. */
  #settled = ''
  #thought = new TextTail(maxThoughtChars)
  #thoughtId: string | undefined
  #steps: TaskStep[] = []

  add(event: ToolEvent): void {
    switch (event.type) {
      case 'thinking':
        this.#think(event)
        break
      case 'output_delta':
        if (event.isRestart) this.#restart()
        this.#answer.add(event.text)
        break
      case 'tool_call': {
        this.#settled = this.#answer.text
        const { tool, callId, input } = event
        const step: TaskStep = { tool, ...(callId && { callId }), status: 'running', ...textOf('input', input) }
        this.#steps = [...this.#steps.slice(1 - maxSteps), step]
        break
      }
      case 'tool_result':
        this.#end(event)
    }
  }

  #think({ text, thoughtId }: Extract<ToolEvent, { type: 'thinking' }>): void {
    const isSame = thoughtId !== undefined && thoughtId === this.#thoughtId
    if (!isSame) this.#thought = new TextTail(maxThoughtChars)
    this.#thought.add(text)
    this.#thoughtId = thoughtId
  }

  #restart(): void {
    this.#answer = new TextTail(maxAnswerChars)
    this.#answer.add(this.#settled)
  }

  /** Ends the step of a result, which older servers do not name by its id. */
  #end({ tool, callId, output, isError }: Extract<ToolEvent, { type: 'tool_result' }>): void {
    const ended = this.#steps.findLast((step) => {
      return step.status === 'running' && (callId === undefined ? step.tool === tool : step.callId === callId)
    })
    const status = isError ? 'failed' : 'completed'
    // Snapshots that were yielded share the steps: they are replaced, and never changed.
    this.#steps = this.#steps.map((step) => (step === ended ? { ...step, status, ...textOf('output', output) } : step))
  }

  snapshot(): RunningTask {
    return { status: 'running', output: this.#answer.text, thinking: this.#thought.text, steps: this.#steps }
  }

  extras(): { steps: TaskStep[] } {
    return { steps: this.#steps }
  }
}

function textOf<Name extends string>(name: Name, value: unknown): { [Key in Name]?: string } {
  if (value === undefined) return {}
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return { [name]: truncate(text, maxStepChars) } as { [Key in Name]: string } // a computed key loses its type
}
