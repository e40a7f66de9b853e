import { TheazoError } from '@theazo/core'
import {
  type AnyTool,
  parseToolInput,
  runCode,
  runTask,
  type ToolProgress,
  ToolInputError,
  type ToolSandbox,
  type ToolSource,
} from '@theazo/core/tools'
import type { AdvertisedSandboxes } from '../resources/advertised-sandboxes.ts'
import { approvalQuestion } from './approval.ts'
import { errorCallResult, toCallResult } from './call-result.ts'
import { Deadline } from './deadline.ts'
import { FailedCall } from './failed-call.ts'
import type { Approval, ApprovalQuestion, CallToolResult } from '../mcp-types.ts'
import { budgetText, RemainingBudget } from './remaining-budget.ts'
import type { AnyToolResult, RunningCall } from './running-call.ts'
import { RunningCalls } from './running-calls.ts'
import { type WaitTools, waitTools } from './wait-tools.ts'
import type { SavedOutput } from './whole-output.ts'

/** The settings and the sandboxes of the calls of one MCP session. */
export interface ToolCallsContext extends Pick<ToolSource, 'account'> {
  tools: readonly AnyTool[]
  sandboxes: AdvertisedSandboxes
  images: boolean
  isReadOnly: boolean
  /** The longest time until an answer, in seconds. */
  answerSeconds: number
  /** Names of tools that run only after the user has approved the call. */
  approve: readonly string[]
  /** Receives unexpected errors. The client gets none of their text. */
  onError: (error: unknown) => void
}

/** A request of the client that calls a tool. */
export interface ToolRequest {
  name: string
  input: unknown
  requestId: string
  /** Fires if the client cancels the request or is gone. */
  signal: AbortSignal
  /** Receives progress, if the client asked for it. */
  report: ((progress: ToolProgress) => void) | undefined
  /** Asks the user. */
  ask: (question: ApprovalQuestion, signal: AbortSignal) => Promise<Approval>
}

/** The answer to a call, and the code of its error; undefined if it did not fail. */
export interface CallOutcome {
  result: CallToolResult
  errorCode: string | undefined
}

/** The tools whose results name what is left of the budget. */
const costly: ReadonlySet<AnyTool> = new Set<AnyTool>([runCode, runTask])

const refusals: Readonly<Record<Approval, string | undefined>> = {
  approved: undefined,
  declined: 'the user declined. Do not retry; ask the user what to do instead.',
  unanswered: 'the user has not answered. Ask the user what to do instead.',
  unsupported: 'it needs the approval of the user, for which this MCP client cannot ask. Do the work another way.',
}

/**
 * The tool calls of one MCP session. A call that takes longer than `answerSeconds` answers with its output so far and an
 * id, because many clients give up after about 60 s. It continues, and the tools `wait` and `stop` refer to it by its id.
 */
export class ToolCalls {
  readonly #context: ToolCallsContext
  readonly #byName: ReadonlyMap<string, AnyTool>
  readonly #waitTools: Partial<WaitTools>
  readonly #running = new RunningCalls()
  readonly #budget: RemainingBudget
  /** The sandbox that each call used. */
  readonly #sandboxes = new WeakMap<RunningCall, ToolSandbox>()

  constructor(context: ToolCallsContext) {
    const { tools, isReadOnly, answerSeconds } = context
    const { wait, stop } = waitTools(answerSeconds)
    this.#context = context
    this.#budget = new RemainingBudget(context.account)
    this.#byName = new Map(tools.map((tool) => [tool.name, tool]))
    this.#waitTools = isReadOnly ? { wait } : { wait, stop }
  }

  /** The tools of this server that are not in the catalog. */
  get sessionTools(): readonly WaitTools[keyof WaitTools][] {
    return Object.values(this.#waitTools)
  }

  /** The question before this call; undefined if it needs no approval, or if its input is invalid and it cannot run. */
  questionFor(name: string, input: unknown): ApprovalQuestion | undefined {
    const tool = this.#byName.get(name)
    if (!tool || !this.#context.approve.includes(name)) return undefined
    try {
      return approvalQuestion(tool, this.#checkedInput(tool, input))
    } catch (error) {
      if (ToolInputError.isInstance(error)) return undefined
      throw error
    }
  }

  /** Calls a tool. Rejects only if the request is aborted: nobody then waits for a result. */
  async call(request: ToolRequest): Promise<CallOutcome> {
    try {
      const result = await this.#resultOf(request)
      return { result, errorCode: result.isError ? 'result_too_large' : undefined }
    } catch (error) {
      if (request.signal.aborted) throw error
      return this.#failure(request.name, error)
    }
  }

  /** Stops all calls: the client is gone. */
  stopAll(): void {
    this.#running.stopAll('The MCP client is gone.')
  }

  async #resultOf(request: ToolRequest): Promise<CallToolResult> {
    const { name, input } = request
    const { wait, stop } = this.#waitTools
    const tool = this.#byName.get(name)
    if (tool) return await this.#start(tool, request)
    if (name === wait?.name) {
      const { callId, timeoutSeconds } = parseToolInput(wait, input)
      return await this.#answer(this.#running.get(callId), request, timeoutSeconds)
    }
    if (name === stop?.name) return await this.#stop(parseToolInput(stop, input).callId, request)
    const names = [...this.#byName.keys(), ...this.sessionTools.map(({ name }) => name)].join(', ')
    throw new ToolInputError(`There is no tool '${name.slice(0, 200)}'. Valid: ${names}.`)
  }

  #failure(name: string, error: unknown): CallOutcome {
    if (error instanceof FailedCall) return { result: errorCallResult(error.message), errorCode: error.code }
    if (TheazoError.isInstance(error)) {
      const text = ToolInputError.isInstance(error) ? error.message : `${name} failed: ${error.message}`
      return { result: errorCallResult(text), errorCode: error.code }
    }
    this.#context.onError(error)
    return {
      result: errorCallResult(`${name} failed: internal error. You may try once more.`),
      errorCode: 'internal_error',
    }
  }

  /** @throws {ToolInputError} if the input is invalid, or names an agent that the client has not received. */
  #checkedInput(tool: AnyTool, input: unknown): unknown {
    const checked: unknown = parseToolInput(tool, input)
    this.#context.sandboxes.assertKnown(checked)
    return checked
  }

  async #start(tool: AnyTool, request: ToolRequest): Promise<CallToolResult> {
    const { sandboxes, account, images, approve } = this.#context
    const input = this.#checkedInput(tool, request.input)
    const call: RunningCall = this.#running.start(tool, async (options) => {
      const sandbox = async (): Promise<ToolSandbox> => {
        const current = await sandboxes.current()
        this.#sandboxes.set(call, current)
        return current
      }
      if (approve.includes(tool.name)) {
        const refused = refusals[await request.ask(approvalQuestion(tool, input), options.signal)]
        if (refused !== undefined) throw new ToolInputError(`${tool.name} did not run: ${refused}`)
      }
      return await tool.run(input, { ...options, sandbox, account, images, callId: request.requestId })
    })
    return await this.#answer(call, request)
  }

  /** Waits until a call ends or an answer is due. A cancel of the request stops the call. */
  async #answer(
    call: RunningCall,
    { signal, report }: ToolRequest,
    seconds: number = this.#context.answerSeconds,
  ): Promise<CallToolResult> {
    using deadline = new Deadline(seconds, signal)
    const removeListener = call.onProgress(report)
    try {
      const result = await Promise.race([call.ended, deadline.passed])
      signal.throwIfAborted()
      return result ? await this.#ended(call, result, deadline) : this.#stillRunning(call)
    } catch (error) {
      if (signal.aborted) call.stop('The client has cancelled the call.')
      this.#running.delete(call)
      throw error
    } finally {
      removeListener()
    }
  }

  async #ended(call: RunningCall, ended: AnyToolResult, deadline: Deadline): Promise<CallToolResult> {
    this.#running.delete(call)
    const result = call.resultSinceLastAnswer(ended)
    if (result.isError) throw new FailedCall(result.text, result.error.code, { cause: result.error })
    if (costly.has(call.tool)) await this.#addBudget(result, deadline.signal)
    this.#context.sandboxes.advertiseData(result.data)
    return toCallResult(result, this.#advertisedId(call), await this.#savedOutput(call, deadline))
  }

  /** Saving fails if the disk is full, the sandbox is gone or an answer is due. The output itself must still arrive. */
  async #savedOutput(call: RunningCall, { signal, passed }: Deadline): Promise<SavedOutput[]> {
    const sandbox = this.#sandboxes.get(call)
    if (!sandbox) return []
    const saved = await Promise.race([call.saveCutOutput(sandbox, signal).catch(() => []), passed])
    return saved ?? []
  }

  /** The budget is an addition: without it the result must still arrive. */
  async #addBudget(result: Extract<AnyToolResult, { isError: false }>, signal: AbortSignal): Promise<void> {
    const remainingCents = await this.#budget.cents(signal)
    if (remainingCents === undefined) return
    result.data = { ...result.data, remainingCents }
    result.text = `${result.text}\n${budgetText(remainingCents)}`
  }

  #stillRunning(call: RunningCall): CallToolResult {
    const callId = this.#running.add(call)
    const stop = this.#waitTools.stop ? ', or stop to end it' : ''
    const note = `[still running after ${call.seconds} s: call wait with callId ${callId} for the rest${stop}]`
    return this.#partial(call, note, { isRunning: true, callId })
  }

  async #stop(callId: string, request: ToolRequest): Promise<CallToolResult> {
    const call = this.#running.get(callId)
    if (call.isEnded) return await this.#answer(call, request) // it still has its result or its error
    const { signal } = request
    using deadline = new Deadline(this.#context.answerSeconds, signal)
    call.stop('The client has stopped the call.')
    const result = await Promise.race([call.ended.catch(() => 'stopped' as const), deadline.passed])
    signal.throwIfAborted()
    if (result === undefined) return this.#stillRunning(call)
    if (result !== 'stopped') return await this.#ended(call, result, deadline)
    this.#running.delete(call)
    return this.#partial(call, `[stopped after ${call.seconds} s]`, { isRunning: false, callId })
  }

  /** The output since the last answer, and a note about the state of the call. */
  #partial(call: RunningCall, note: string, state: object): CallToolResult {
    const agentId = this.#advertisedId(call)
    const { text: output, data: outputData } = call.takeOutput()
    const text = output === '' ? note : `${output}\n${note}`
    const data = { ...state, ...outputData, ...(agentId !== undefined && { agentId }) }
    return toCallResult({ isError: false, text, images: [], data }, agentId)
  }

  #advertisedId(call: RunningCall): string | undefined {
    const sandbox = this.#sandboxes.get(call)
    return sandbox && this.#context.sandboxes.advertise(sandbox.id)
  }
}
