import type { ToolSandbox } from '@theazo/core/tools'
import type { Clock } from '../clock.ts'
import { ApiError, SandboxEndedError } from '../errors.ts'
import { centsOf } from '../pricing.ts'
import { lastTurn, type LoopEnd, runLoop, sideBySide } from './agent-loop.ts'
import { DeltaWriter } from './delta-writer.ts'
import type { EngineTool } from './engine-tool.ts'
import type { Model, ModelRequest, ToolCall, ToolStep } from './model.ts'
import { type TaskLog, TaskOverError, type TaskProgress, type TaskResult } from './task-log.ts'
import { type EngineObserver, TaskTelemetry } from './telemetry.ts'
import { type AgentTools, callTool } from './tool-registry.ts'

/** A task, and what its work needs. */
export interface TaskRunOptions {
  taskId: string
  agent: { id: string; name: string | null }
  instructions: string | null
  prompt: string
  /** The timeout of the task, in milliseconds. */
  timeoutMs: number
  /** Milliseconds that the task has run in earlier processes or before a pause. */
  runMs: number
  model: Model
  /** Opens the agent's tools, at the start of the loop. */
  openTools: (signal: AbortSignal) => Promise<AgentTools>
  /** Names of the tools, or of their groups, whose calls a person must approve. */
  approvals: ReadonlySet<string>
  sandbox: ToolSandbox
  /** Hosts that the agent may reach. */
  allow: readonly string[] | undefined
  /** Opens the task's log. A write that waits rejects when the signal fires. */
  openLog: (abandoned: AbortSignal) => TaskLog
  /** True if events show what code prints while it runs. */
  hasLiveOutput: boolean
  /** True if a process ended during the work on the task: a tool call may have been in flight. */
  isRecovered: boolean
  /** Counts the calls; undefined for test keys. */
  observer: EngineObserver | undefined
  clock: Clock
  /** Called after the loop was suspended because a call of the model would cost more than the session may spend. */
  onUnaffordable: (message: string) => void
  /** Called after the loop was suspended because a person must approve a call. */
  onApprovalRequired: (call: ToolCall) => void
  onError: (error: unknown) => void
}

/** Characters of one call that events show while it runs. The result has more. */
const maxOutputChars = 256 * 1024

/** The end of the work on a task in this process. An abandoned task still runs according to the store. */
export type EndedTask = 'ended' | 'suspended' | 'abandoned'

/** The loop of one task in this process. */
export class TaskRun {
  /** Never rejects. */
  readonly done: Promise<EndedTask>
  readonly #options: TaskRunOptions
  readonly #abort = new AbortController()
  readonly #startedAt: number
  /** The causes of a suspension: a pause and a cap may both apply. */
  readonly #suspends = new Set<object>()
  readonly #abandoned = new AbortController()
  readonly #log: TaskLog
  readonly #telemetry: TaskTelemetry
  #stoppedAfterMs: number | undefined
  /** Called after the loop has suspended itself, for an approval or a cap. */
  #afterSuspension: (() => void) | undefined

  constructor(options: TaskRunOptions) {
    this.#options = options
    this.#log = options.openLog(this.#abandoned.signal)
    this.#telemetry = new TaskTelemetry(options)
    const { timeoutMs, runMs, clock } = options
    this.#startedAt = clock.monotonic()
    const message = `The task ran longer than its agent's timeout of ${timeoutMs / 1000} s.`
    const stopDeadline = clock.after(timeoutMs - runMs, () => this.#abort.abort(new ApiError('timeout', message)))
    this.done = this.#traced().finally(() => {
      this.#stoppedAfterMs = clock.monotonic() - this.#startedAt
      stopDeadline()
      if (this.#afterSuspension) queueMicrotask(this.#afterSuspension)
    })
  }

  /** True until the loop has ended or stopped after a suspension. */
  get isWorking(): boolean {
    return this.#stoppedAfterMs === undefined
  }

  /** Milliseconds that the task has run, without pauses. */
  get runMs(): number {
    const { runMs, clock } = this.#options
    return Math.round(runMs + (this.#stoppedAfterMs ?? clock.monotonic() - this.#startedAt))
  }

  /**
   * Resolves when the present step has ended. The task has then ended, or is suspended.
   *
   * @param by the cause; pass the same object to {@link unsuspend}.
   */
  async suspend(by: object): Promise<void> {
    this.#suspends.add(by)
    await this.done
  }

  /** Reverts one {@link suspend}. @returns true if the loop has stopped and no other cause remains: it must start again. */
  unsuspend(by: object): boolean {
    return this.#suspends.delete(by) && this.#suspends.size === 0 && !this.isWorking
  }

  /** Kills the present step, because the task has ended or is paused in the store. */
  stop(reason: ApiError): void {
    this.#telemetry.failed('cancelled')
    this.#abort.abort(reason)
  }

  /** Kills the present step, because the server ends. The next server runs the step again. */
  abandon(): void {
    this.#telemetry.failed('interrupted')
    this.#abandoned.abort()
    this.#abort.abort(new SandboxEndedError('The server was shut down while the task ran.'))
  }

  async #traced(): Promise<EndedTask> {
    const end = await this.#work()
    this.#telemetry.end(end === 'suspended')
    return end
  }

  async #work(): Promise<EndedTask> {
    const { onError } = this.#options
    try {
      const end = await this.#loop()
      if (end.kind !== 'answer') return this.#suspended(end)
      await this.#end({ status: 'completed', answer: end.answer })
    } catch (error) {
      const { signal } = this.#abort
      if (error instanceof TaskOverError) return 'ended'
      if (signal.aborted && signal.reason instanceof SandboxEndedError) return 'abandoned'
      const failure = signal.aborted ? signal.reason : error
      if (!(failure instanceof ApiError)) onError(failure)
      const { code, message } = failure instanceof ApiError ? failure : unexpected
      this.#telemetry.failed(code)
      await this.#end({ status: 'failed', error: { code, message } }).catch((late: unknown) => {
        if (!(late instanceof TaskOverError)) onError(late)
      })
    }
    return 'ended'
  }

  #suspended(end: Exclude<LoopEnd, { kind: 'answer' }>): EndedTask {
    const { onApprovalRequired } = this.#options
    if (end.kind === 'approval') this.#afterSuspension = () => onApprovalRequired(end.call)
    return 'suspended'
  }

  async #end(result: TaskResult): Promise<void> {
    await this.#log.end(result, this.runMs)
  }

  async #loop(): Promise<LoopEnd> {
    const { model, taskId, instructions, prompt, openTools, approvals, clock } = this.#options
    const log = this.#log
    const progress = await log.progress()
    const { steps, writtenText, history } = progress
    const { tools, missingServers } = await openTools(this.#abort.signal)
    const toolOf = (call: ToolCall): EngineTool | undefined => tools.find(({ name }) => name === call.tool)
    const isReadOnly = (call: ToolCall): boolean => toolOf(call)?.isReadOnly ?? true
    const deltas = new DeltaWriter(clock, (delta) => log.emit(delta), { earlier: writtenText, firstStep: steps.length })
    const repeatable = this.#options.isRecovered ? callsInFlight(steps, isReadOnly) : new Map<string, boolean>()
    return await runLoop({
      model: this.#telemetry.observed(model),
      request: { taskId, instructions, prompt, steps, tools, missingServers, history },
      callTool: (call, signal) =>
        this.#telemetry.call(call, toolOf(call) !== undefined, signal, () =>
          this.#callTool(call, tools, signal, deltas),
        ),
      isReadOnly,
      needsApproval: (call) => approvals.has(toolOf(call)?.group ?? call.tool) && canBeMade(call, toolOf(call)),
      beforeCall: (call) => this.#beforeCall(call, repeatable),
      store: async (step) => {
        await (step.kind === 'model' ? deltas.endStep() : deltas.flush())
        await log.store(step, this.runMs)
      },
      sink: deltas,
      canAfford: (request) => this.#canAfford(request),
      shouldStop: () => this.#suspends.size > 0,
      signal: this.#abort.signal,
    })
  }

  async #callTool(
    call: ToolCall,
    tools: readonly EngineTool[],
    signal: AbortSignal,
    deltas: DeltaWriter,
  ): Promise<ToolStep> {
    const { sandbox, allow, model, hasLiveOutput } = this.#options
    let left = maxOutputChars
    const onOutput = async (stream: 'stdout' | 'stderr', text: string): Promise<void> => {
      const shown = text.slice(0, left)
      left -= shown.length
      if (shown !== '') await deltas.toolOutput(call.id, stream, shown)
    }
    const context = { sandbox, allow, signal, imagesOff: model.imagesOff, ...(hasLiveOutput && { onOutput }) }
    return await callTool(call, tools, context)
  }

  /**
   * A call that has no result after a crash may have been in flight. It is made once more, and the log says so; after a
   * second crash it is not made again.
   */
  async #beforeCall(call: ToolCall, repeatable: Map<string, boolean>): Promise<ToolStep | undefined> {
    const { id, tool } = call
    const wasRepeated = repeatable.get(id)
    repeatable.delete(id)
    if (wasRepeated === undefined) return undefined
    if (wasRepeated) {
      const output = 'The server ended twice while this call ran, so it was not made again. Its effects are not known.'
      return { kind: 'tool', id, tool, output, isError: true, durationMs: 0 }
    }
    await this.#log.store({ kind: 'retry', id, call }, this.runMs)
    return undefined
  }

  async #canAfford(request: ModelRequest): Promise<boolean> {
    const { model, onUnaffordable } = this.#options
    // The estimate reads the whole conversation, so the cap is read first: most sessions have none.
    const left = model.estimate && (await this.#log.left())
    if (left === undefined) return true
    const estimate = model.estimate?.(request) ?? 0
    if (estimate === 0 || estimate <= left) return true
    const message = `The input of the next call of model ${model.id} costs about ${cents(estimate)} cents, and the session may spend ${cents(left)} more. Raise maxCost.`
    this.#afterSuspension = () => onUnaffordable(message)
    return false
  }
}

/**
 * The calls that may have been in flight when the process ended: the first call without a result, and the calls that run
 * beside it. By id; the value is true if the call was already made again.
 */
function callsInFlight(steps: TaskProgress['steps'], isReadOnly: (call: ToolCall) => boolean): Map<string, boolean> {
  const { open, repeated } = lastTurn(steps)
  return new Map(sideBySide(open, isReadOnly).map(({ id }) => [id, repeated.has(id)]))
}

/** False for a call whose input is not JSON or invalid: nobody needs to approve what cannot be made. */
function canBeMade({ fault, input }: ToolCall, tool: EngineTool | undefined): boolean {
  return fault === undefined && tool?.inputFault?.(input) === undefined
}

function cents(microCents: number): string {
  return centsOf(microCents).toFixed(2)
}

const unexpected = { code: 'internal_error', message: 'Unexpected server error.' } as const
