import { setImmediate } from 'node:timers/promises'
import { ApiError } from '../errors.ts'
import type { Model, ModelRequest, ModelStep, Step, ToolCall, ToolStep } from './model.ts'

/** What the loop needs of whoever runs it. */
export interface LoopOptions {
  model: Model
  request: ModelRequest
  callTool: (call: ToolCall, signal: AbortSignal) => Promise<ToolStep>
  /** Keeps a step. @throws what ends the loop, where the task is no longer to go on. */
  keep: (step: Step) => Promise<void>
  /** Tells a piece of the answer. */
  onDelta: (text: string) => Promise<void>
  /** Asked between two steps. */
  isToStop: () => boolean
  signal: AbortSignal
}

/** More turns than this is a model that goes in circles. */
const maxModelSteps = 1_100

/**
 * Model, tools, model, until the answer: each step is kept before the next begins, so it can stop between any two and
 * go on later, here or in another process.
 *
 * @returns the answer; undefined where it was to stop.
 * @throws what the model, a step that cannot be kept or the signal's reason says.
 */
export async function runLoop(options: LoopOptions): Promise<ModelStep | undefined> {
  const { model, callTool, keep, onDelta, isToStop, signal } = options
  const steps = [...options.request.steps]
  let { request } = options
  for (;;) {
    signal.throwIfAborted()
    const last = answerOf(steps)
    if (last) return last
    if (isToStop()) return undefined
    const call = openCall(steps)
    if (!call && modelStepsOf(steps).length >= maxModelSteps) {
      throw new ApiError('internal_error', `The model gave no answer in ${maxModelSteps} steps.`)
    }
    const step = call ? await callTool(call, signal) : await model.step({ ...request, steps }, onDelta, signal)
    signal.throwIfAborted()
    await keep(step)
    steps.push(step)
    request = { ...request, writtenText: '' }
    await setImmediate() // a model and tools that answer at once would leave no turn to anybody else
  }
}

function modelStepsOf(steps: readonly Step[]): ModelStep[] {
  return steps.filter((step) => step.kind === 'model')
}

/** The last turn, where it calls no tool. */
function answerOf(steps: readonly Step[]): ModelStep | undefined {
  const last = steps.at(-1)
  return last?.kind === 'model' && last.toolCalls.length === 0 ? last : undefined
}

/** The first call of the last turn that has given nothing yet. */
function openCall(steps: readonly Step[]): ToolCall | undefined {
  const done = new Set(steps.flatMap((step) => (step.kind === 'tool' ? step.id : [])))
  return modelStepsOf(steps)
    .at(-1)
    ?.toolCalls.find(({ id }) => !done.has(id))
}
