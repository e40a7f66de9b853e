import type { ToolSandbox } from '@theazo/core/tools'
import type { Clock } from '../clock.ts'
import { ApiError, SandboxEndedError } from '../errors.ts'
import { centsOf } from '../pricing.ts'
import { lastTurn, type LoopEnd, type LoopOptions, nextCalls, runLoop } from './agent-loop.ts'
import { DeltaWriter } from './delta-writer.ts'
import type { EngineTool } from './engine-tool.ts'
import type { Model, ModelRequest, ToolCall, ToolStep } from './model.ts'
import { type SuspensionCause, type TaskLog, TaskOverError, type TaskProgress, type TaskResult } from './task-log.ts'
import { type EngineObserver, TaskTelemetry } from './telemetry.ts'
import { callFault, callTool } from './tool-call.ts'
import type { AgentTools } from './tool-registry.ts'

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
  /** True if events contain the output of code while it runs. */
  hasLiveOutput: boolean
  /** True if a process was killed during the work on the task: a tool call may have been in flight. */
  mayHaveCallInFlight: boolean
  /** Counts the calls; undefined for test keys. */
  observer: EngineObserver | undefined
  clock: Clock
  /** Called after the loop has suspended itself. */
  onSuspended: (cause: SuspensionCause) => void
  onError: (error: unknown) => void
}

/** Maximum characters of one call's output in events. The result may have more. */
const maxOutputChars = 256 * 1024

/** The end of the work on a task in this process. An abandoned task still runs according to the store. */
export type TaskRunEnd = 'ended' | 'suspended' | 'abandoned'

/** The loop of one task in this process. */
export class TaskRun {
  /** Never rejects. */
  readonly done: Promise<TaskRunEnd>
  readonly #options: TaskRunOptions
  readonly #abort = new AbortController()
  readonly #startedAt: number
  /** The causes of a suspension: a pause and a cap may both apply. */
  readonly #suspendedBy = new Set<object>()
  readonly #abandoned = new AbortController()
  readonly #log: TaskLog
  readonly #telemetry: TaskTelemetry
  #stoppedAfterMs: number | undefined
  /** Calls that have begun and are not stored. */
  readonly #begun = new Set<string>()
  /** True until the calls that an earlier process may have left are known and noted. */
  #hasUnnotedCalls: boolean
  /** True if the store has ended or paused the task. */
  #isStopped = false
  /** Set after the loop has suspended itself. */
  #cause: SuspensionCause | undefined

  constructor(options: TaskRunOptions) {
    this.#options = options
    this.#hasUnnotedCalls = options.mayHaveCallInFlight
    this.#log = options.openLog(this.#abandoned.signal)
    this.#telemetry = new TaskTelemetry(options)
    const { timeoutMs, runMs, clock } = options
    this.#startedAt = clock.monotonic()
    const message = `The task ran longer than its agent's timeout of ${timeoutMs / 1000} s.`
    const stopDeadline = clock.after(timeoutMs - runMs, () => this.#abort.abort(new ApiError('timeout', message)))
    this.done = this.#traced().finally(() => {
      this.#stoppedAfterMs = clock.monotonic() - this.#startedAt
      stopDeadline()
      const cause = this.#cause
      if (cause) queueMicrotask(() => options.onSuspended(cause))
    })
  }

  /** True until the loop has ended or stopped after a suspension. */
  get isWorking(): boolean {
    return this.#stoppedAfterMs === undefined
  }

  /** True if a call may have begun that is not stored: it would be made again, and the log must say so. */
  get mayHaveCallInFlight(): boolean {
    return this.#hasUnnotedCalls || this.#begun.size > 0
  }

  /** Milliseconds that the task has run, without pauses. */
  get runMs(): number {
    const { runMs, clock } = this.#options
    return Math.round(runMs + (this.#stoppedAfterMs ?? clock.monotonic() - this.#startedAt))
  }

  /**
   * Resolves when the current step has ended, or the loop was abandoned.
   *
   * @param holder of the suspension; pass the same object to {@link unsuspend}.
   */
  async suspend(holder: object): Promise<TaskRunEnd> {
    this.#suspendedBy.add(holder)
    return await this.done
  }

  /** Reverts one {@link suspend}. @returns true if the loop has stopped and no other cause remains: it must start again. */
  unsuspend(holder: object): boolean {
    return this.#suspendedBy.delete(holder) && this.#suspendedBy.size === 0 && !this.isWorking
  }

  /** Kills the current step, because the task has ended or is paused in the store. */
  stop(reason: ApiError): void {
    this.#isStopped = true
    this.#telemetry.failed('cancelled')
    this.#abort.abort(reason)
  }

  /** Kills the current step, because the server ends. The next server runs the step again. */
  abandon(): void {
    this.#telemetry.failed('interrupted')
    this.#abandoned.abort()
    this.#abort.abort(new SandboxEndedError('The server was shut down while the task ran.'))
  }

  async #traced(): Promise<TaskRunEnd> {
    const end = await this.#work()
    this.#telemetry.end(end === 'suspended')
    return end
  }

  async #work(): Promise<TaskRunEnd> {
    const { onError } = this.#options
    try {
      const end = await this.#loop()
      if (end.kind === 'suspended') {
        this.#cause = end.cause
        return 'suspended'
      }
      await this.#end({ status: 'completed', answer: end.answer })
    } catch (error) {
      const { signal } = this.#abort
      if (this.#isStopped || error instanceof TaskOverError) return 'ended'
      if (this.#abandoned.signal.aborted) return 'abandoned'
      const failure = signal.aborted ? signal.reason : error
      if (!(failure instanceof ApiError)) onError(failure)
      const { code, message } = failure instanceof ApiError ? failure : unexpected
      this.#telemetry.failed(code)
      try {
        await this.#end({ status: 'failed', error: { code, message } })
      } catch (late) {
        if (late instanceof TaskOverError) return 'ended'
        onError(late)
        if (this.#abandoned.signal.aborted) return 'abandoned'
      }
    }
    return 'ended'
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
    const needsApproval = (call: ToolCall): boolean =>
      approvals.has(toolOf(call)?.group ?? call.tool) && callFault(call, toolOf(call)) === undefined
    const callsInFlight = this.#options.mayHaveCallInFlight
      ? findCallsInFlight(steps, { isReadOnly, needsApproval })
      : new Map<string, boolean>()
    this.#hasUnnotedCalls = callsInFlight.size > 0
    return await runLoop({
      model: this.#telemetry.observed(model),
      request: { taskId, instructions, prompt, steps, tools, missingServers, history },
      callTool: (call, signal) =>
        this.#telemetry.call(call, toolOf(call) !== undefined, signal, () =>
          this.#callTool(call, tools, signal, deltas),
        ),
      isReadOnly,
      needsApproval,
      beforeCall: (call) => this.#beforeCall(call, callsInFlight),
      store: async (step) => {
        await (step.kind === 'model' ? deltas.endStep() : deltas.flush())
        await log.store(step, this.runMs)
        if (step.kind === 'tool') this.#begun.delete(step.id)
      },
      sink: deltas,
      unaffordable: (request) => this.#unaffordable(request),
      shouldStop: () => this.#suspendedBy.size > 0,
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
    this.#begun.add(call.id)
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
  async #beforeCall(call: ToolCall, callsInFlight: Map<string, boolean>): Promise<ToolStep | undefined> {
    const { id, tool } = call
    const wasRepeated = callsInFlight.get(id)
    callsInFlight.delete(id)
    this.#hasUnnotedCalls = callsInFlight.size > 0
    if (wasRepeated === undefined) return undefined
    if (wasRepeated) {
      const output = 'The server ended twice while this call ran, so it was not made again. Its effects are not known.'
      return { kind: 'tool', id, tool, output, isError: true, durationMs: 0 }
    }
    await this.#log.store({ kind: 'retry', id, call }, this.runMs)
    return undefined
  }

  async #unaffordable(request: ModelRequest): Promise<string | undefined> {
    const { model } = this.#options
    // The estimate reads the whole conversation, so the cap is read first: most sessions have none.
    const left = model.estimate && (await this.#log.costLeft())
    if (left === undefined) return undefined
    const estimate = model.estimate?.(request) ?? 0
    if (estimate === 0 || estimate <= left) return undefined
    return `The input of the next call of model ${model.id} costs about ${cents(estimate)} cents, and the session may spend ${cents(left)} more. Raise maxCost.`
  }
}

/**
 * The calls that may have been in flight when the process ended: the first call without a result, and the calls that run
 * beside it. By id; the value is true if the call was already made again.
 */
function findCallsInFlight(
  steps: TaskProgress['steps'],
  rules: Pick<LoopOptions, 'isReadOnly' | 'needsApproval'>,
): Map<string, boolean> {
  const { open, approvals, repeated } = lastTurn(steps)
  const begun = nextCalls(open, rules).filter((call) => !rules.needsApproval(call) || approvals.has(call.id))
  return new Map(begun.map(({ id }) => [id, repeated.has(id)]))
}

function cents(microCents: number): string {
  return centsOf(microCents).toFixed(2)
}

const unexpected = { code: 'internal_error', message: 'Unexpected server error.' } as const
