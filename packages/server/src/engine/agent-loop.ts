import { setImmediate } from 'node:timers/promises'
import { ApiError } from '../errors.ts'
import type { SuspensionCause } from './task-log.ts'
import type { ApprovalStep, Model, ModelRequest, ModelStep, Step, StepSink, ToolCall, ToolStep } from './model.ts'

/** The model, the task and the callbacks of a loop. */
export interface LoopOptions {
  model: Pick<Model, 'step'>
  request: ModelRequest
  callTool: (call: ToolCall, signal: AbortSignal) => Promise<ToolStep>
  /** True if the call may run beside others. */
  isReadOnly: (call: ToolCall) => boolean
  /** True if a person must approve the call. */
  needsApproval: (call: ToolCall) => boolean
  /** Called before each call that no person has refused. @returns a result if the call must not be made. */
  beforeCall: (call: ToolCall) => Promise<ToolStep | undefined>
  /** Stores a step. @throws an error that ends the loop, if the task must not continue. */
  store: (step: Step) => Promise<void>
  sink: StepSink
  /** Called before each call of the model. @returns a message if the session cannot pay for the call: it suspends the loop. */
  unaffordable: (request: ModelRequest) => Promise<string | undefined>
  /** Called between two steps: true suspends the loop. */
  shouldStop: () => boolean
  signal: AbortSignal
}

/** The end of a loop: the answer, or a suspension with its cause. */
export type LoopEnd = { kind: 'answer'; answer: ModelStep } | { kind: 'suspended'; cause?: SuspensionCause }

/** A model with more steps than this is stuck. */
const maxModelSteps = 1_100
/** A model that makes only invalid calls in this many steps in a row is stuck too. */
const maxInvalidSteps = 3
const maxFaultChars = 1_000

/**
 * Calls the model and its tools in turn, until the answer. Each step is stored before the next begins, so the loop can stop
 * between two steps and continue later, in this process or another.
 *
 * @throws errors of the model and of `store`, and the signal's reason.
 */
export async function runLoop(options: LoopOptions): Promise<LoopEnd> {
  const { model, store, sink, shouldStop, signal } = options
  const steps = [...options.request.steps]
  const add = async (step: Step): Promise<void> => {
    await store(step)
    steps.push(step)
  }
  for (;;) {
    const last = steps.at(-1)
    if (last?.kind === 'model' && last.toolCalls.length === 0) return { kind: 'answer', answer: last }
    signal.throwIfAborted()
    if (shouldStop()) return { kind: 'suspended' }
    const turn = lastTurn(steps)
    const [first] = turn.open
    if (first) {
      if (options.needsApproval(first) && !turn.approvals.has(first.id))
        return { kind: 'suspended', cause: { toolCall: first } }
      await callNext(options, turn, add)
    } else {
      assertNotStuck(steps)
      const request = { ...options.request, steps }
      const limit = await options.unaffordable(request)
      if (limit !== undefined) return { kind: 'suspended', cause: { limit } }
      const step = await model.step(request, sink, signal)
      signal.throwIfAborted()
      await add(step)
    }
    await setImmediate() // a model and tools that answer without waiting would block the event loop
  }
}

/** Makes the calls of {@link nextCalls}. */
async function callNext(
  { callTool, beforeCall, signal, ...rules }: LoopOptions,
  { open, approvals }: Turn,
  add: (step: Step) => Promise<void>,
): Promise<void> {
  const next = nextCalls(open, rules)
  const done = new Map<string, ToolStep | undefined>()
  for (const call of next) done.set(call.id, refusal(call, approvals.get(call.id)) ?? (await beforeCall(call)))
  const calls = next.map(async (call) => {
    const step = done.get(call.id) ?? (await callTool(call, signal))
    signal.throwIfAborted()
    return step
  })
  const ended = Promise.allSettled(calls)
  try {
    // In the order of the calls, each as soon as those before it are stored: a crash then repeats few calls.
    for (const call of calls) await add(await call)
  } finally {
    await ended
  }
}

/** The calls that run next: the first one, or side by side all up to the first that changes something or needs an approval. */
export function nextCalls(
  open: readonly ToolCall[],
  { isReadOnly, needsApproval }: Pick<LoopOptions, 'isReadOnly' | 'needsApproval'>,
): ToolCall[] {
  const barrier = open.findIndex((call) => !isReadOnly(call) || needsApproval(call))
  return open.slice(0, Math.max(1, barrier === -1 ? open.length : barrier))
}

/** The result of a call that a person refused. */
function refusal({ id, tool }: ToolCall, approval: ApprovalStep | undefined): ToolStep | undefined {
  if (!approval || approval.approve) return undefined
  const why = approval.message === undefined ? '' : ` Their message: ${approval.message}`
  const output = `A person refused this call, so it was not made.${why}`
  return { kind: 'tool', id, tool, output, isError: true, durationMs: 0 }
}

/** @throws {ApiError} if the model makes no progress. */
function assertNotStuck(steps: readonly Step[]): void {
  const modelSteps = steps.filter((step) => step.kind === 'model')
  if (modelSteps.length >= maxModelSteps) {
    throw new ApiError('internal_error', `The model gave no answer in ${maxModelSteps} steps.`)
  }
  const invalidSteps = steps.slice(steps.findLastIndex(isValidCall) + 1).filter((step) => step.kind === 'model')
  if (invalidSteps.length < maxInvalidSteps) return
  const fault = steps.findLast((step) => step.kind === 'tool')
  const message = `The model made only invalid tool calls in ${maxInvalidSteps} steps in a row. The last one: ${String(fault?.output)}`
  throw new ApiError('provider_error', message.slice(0, maxFaultChars))
}

function isValidCall(step: Step): boolean {
  return step.kind === 'tool' && !step.isInvalid
}

/** The last step of the model and the state of its calls. Ids are unique only within it: models outside the AI SDK may reuse them. */
interface Turn {
  /** Calls without a result, in order. */
  open: ToolCall[]
  approvals: ReadonlyMap<string, ApprovalStep>
  /** Ids of calls that were made again after a crash. */
  repeated: ReadonlySet<string>
}

/** Reads the {@link Turn} from the end of the steps. */
export function lastTurn(steps: readonly Step[]): Turn {
  const turn = steps.slice(steps.findLastIndex(({ kind }) => kind === 'model'))
  const done = new Set(turn.flatMap((step) => (step.kind === 'tool' ? step.id : [])))
  const calls = turn[0]?.kind === 'model' ? turn[0].toolCalls : []
  const approvals = turn.flatMap((step) => (step.kind === 'approval' ? [[step.id, step] as const] : []))
  const repeated = new Set(turn.flatMap((step) => (step.kind === 'retry' ? step.id : [])))
  return { open: calls.filter(({ id }) => !done.has(id)), approvals: new Map(approvals), repeated }
}
