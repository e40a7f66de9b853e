import { setImmediate } from 'node:timers/promises'
import { ApiError } from '../errors.ts'
import type { Model, ModelRequest, ModelStep, Step, ToolCall, ToolStep } from './model.ts'

/** The model, the task and the callbacks of a loop. */
export interface LoopOptions {
  model: Model
  request: ModelRequest
  callTool: (call: ToolCall, signal: AbortSignal) => Promise<ToolStep>
  /** Stores a step. @throws an error that ends the loop, if the task must not continue. */
  store: (step: Step) => Promise<void>
  /** Called with each part of the answer. */
  onDelta: (text: string) => Promise<void>
  /** Called between two steps: true suspends the loop. */
  shouldStop: () => boolean
  signal: AbortSignal
}

/** A model with more steps than this is stuck. */
const maxModelSteps = 1_100

/**
 * Calls the model and its tools in turn, until the answer. Each step is stored before the next begins, so the loop can stop
 * between two steps and continue later, in this process or another.
 *
 * @returns the answer; undefined if `shouldStop` returned true.
 * @throws errors of the model and of `store`, and the signal's reason.
 */
export async function runLoop(options: LoopOptions): Promise<ModelStep | undefined> {
  const { model, callTool, store, onDelta, shouldStop, signal } = options
  const steps = [...options.request.steps]
  let { request } = options
  for (;;) {
    signal.throwIfAborted()
    const last = answerOf(steps)
    if (last) return last
    if (shouldStop()) return undefined
    const call = openCall(steps)
    if (!call && modelStepsOf(steps).length >= maxModelSteps) {
      throw new ApiError('internal_error', `The model gave no answer in ${maxModelSteps} steps.`)
    }
    const step = call ? await callTool(call, signal) : await model.step({ ...request, steps }, onDelta, signal)
    signal.throwIfAborted()
    await store(step)
    steps.push(step)
    request = { ...request, writtenText: '' }
    await setImmediate() // a model and tools that answer without waiting would block the event loop
  }
}

function modelStepsOf(steps: readonly Step[]): ModelStep[] {
  return steps.filter((step) => step.kind === 'model')
}

/** The last step, if it is an answer of the model without tool calls. */
function answerOf(steps: readonly Step[]): ModelStep | undefined {
  const last = steps.at(-1)
  return last?.kind === 'model' && last.toolCalls.length === 0 ? last : undefined
}

/** The first tool call of the last model step that has no result yet. */
function openCall(steps: readonly Step[]): ToolCall | undefined {
  const done = new Set(steps.flatMap((step) => (step.kind === 'tool' ? step.id : [])))
  return modelStepsOf(steps)
    .at(-1)
    ?.toolCalls.find(({ id }) => !done.has(id))
}
