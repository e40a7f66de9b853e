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
import type { Approval, ApprovalQuestion, CallToolResult } from '../mcp-types.ts'
import { budgetText, RemainingBudget } from './remaining-budget.ts'
import { type AnyToolResult, RunningCall } from './running-call.ts'
import { RunningCalls } from './running-calls.ts'
import { type WaitTools, waitTools } from './wait-tools.ts'

/** What the calls of one MCP session share. */
export interface ToolCallsContext extends Pick<ToolSource, 'account'> {
  tools: readonly AnyTool[]
  sandboxes: AdvertisedSandboxes
  images: boolean
  isReadOnly: boolean
  /** The longest time until an answer, in seconds. */
  answerSeconds: number
  /** Names of tools that run only after the user has approved the call. */
  approve: readonly string[]
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

/** The tools whose results name what is left of the budget. */
const costly: ReadonlySet<AnyTool> = new Set<AnyTool>([runCode, runTask])

const refusals: Readonly<Record<Approval, string | undefined>> = {
  approved: undefined,
  declined: 'the user declined. Do not retry; ask the user what to do instead.',
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

  /** The question that the user must answer before this call runs; undefined if it needs no approval. */
  questionFor(name: string, input: unknown): ApprovalQuestion | undefined {
    const tool = this.#byName.get(name)
    return tool && this.#context.approve.includes(name) ? approvalQuestion(tool, input) : undefined
  }

  /** Calls a tool. Rejects only if the request is aborted: nobody then waits for a result. */
  async call(request: ToolRequest): Promise<CallToolResult> {
    const { name, input, signal } = request
    const { wait, stop } = this.#waitTools
    const tool = this.#byName.get(name)
    try {
      if (tool) return await this.#start(tool, request)
      if (name === wait?.name) {
        const { callId, timeoutSeconds } = parseToolInput(wait, input)
        return await this.#answer(this.#running.get(callId), request, timeoutSeconds)
      }
      if (name === stop?.name) return await this.#stop(parseToolInput(stop, input).callId, signal)
      const names = [...this.#byName.keys(), ...this.sessionTools.map(({ name }) => name)].join(', ')
      return errorCallResult(`There is no tool '${name.slice(0, 200)}'. Valid: ${names}.`)
    } catch (error) {
      if (signal.aborted) throw error
      if (TheazoError.isInstance(error) && error.code === 'tool_input') return errorCallResult(error.message)
      return errorCallResult(`${name} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  /** Stops all calls: the client is gone. */
  stopAll(): void {
    this.#running.stopAll(new Error('The MCP client is gone.'))
  }

  async #start(tool: AnyTool, request: ToolRequest): Promise<CallToolResult> {
    const { sandboxes, account, images, approve } = this.#context
    this.#running.assertRoom()
    sandboxes.assertKnown(request.input)
    const call: RunningCall = new RunningCall(tool, async (options) => {
      const sandbox = async (): Promise<ToolSandbox> => {
        const current = await sandboxes.current()
        this.#sandboxes.set(call, current)
        return current
      }
      if (approve.includes(tool.name)) {
        const approval = await request.ask(approvalQuestion(tool, request.input), options.signal)
        const refused = refusals[approval]
        if (refused !== undefined) throw new ToolInputError(`${tool.name} did not run: ${refused}`)
      }
      return await tool.run(request.input, { ...options, sandbox, account, images, callId: request.requestId })
    })
    return await this.#answer(call, request)
  }

  /** Waits until a call ends or an answer is due. A cancel of the request stops the call. */
  async #answer(
    call: RunningCall,
    { signal, report }: ToolRequest,
    seconds: number = this.#context.answerSeconds,
  ): Promise<CallToolResult> {
    const removeListener = call.onProgress(report)
    const due = Promise.withResolvers<undefined>()
    const timer = setTimeout(due.resolve, seconds * 1000)
    const onAbort = (): void => call.stop(signal.reason)
    signal.addEventListener('abort', onAbort)
    try {
      signal.throwIfAborted()
      const result = await Promise.race([call.ended, due.promise])
      return result ? await this.#ended(call, result, signal) : this.#stillRunning(call)
    } catch (error) {
      this.#running.delete(call)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
      clearTimeout(timer)
      removeListener()
    }
  }

  async #ended(call: RunningCall, ended: Awaited<RunningCall['ended']>, signal: AbortSignal): Promise<CallToolResult> {
    this.#running.delete(call)
    const result = call.resultSinceLastAnswer(ended)
    if (result.isError) return errorCallResult(result.text)
    const { sandboxes } = this.#context
    if (costly.has(call.tool)) await this.#addBudget(result, signal)
    sandboxes.advertiseData(result.data)
    const sandbox = this.#sandboxes.get(call)
    // Saving fails if the disk is full or the sandbox is gone. The output itself must still arrive.
    const saved = sandbox ? await call.saveCutOutput(sandbox, signal).catch(() => []) : []
    return toCallResult(result, this.#advertisedId(call), saved)
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
    const { text, data } = call.takeOutput()
    const stop = this.#waitTools.stop ? ', or stop to end it' : ''
    const note = `[still running after ${call.seconds} s: call wait with callId ${callId} for the rest${stop}]`
    return this.#partial(call, text === '' ? note : `${text}\n${note}`, { isRunning: true, callId, ...data })
  }

  async #stop(callId: string, signal: AbortSignal): Promise<CallToolResult> {
    const call = this.#running.get(callId)
    const reason = new Error('stopped by the client')
    call.stop(reason)
    // A call that had ended before still has its result.
    const result = await call.ended.catch((error: unknown) => {
      if (error !== reason) throw error
      return undefined
    })
    if (result) return await this.#ended(call, result, signal)
    this.#running.delete(call)
    const { text, data } = call.takeOutput()
    const note = `[stopped after ${call.seconds} s]`
    return this.#partial(call, text === '' ? note : `${text}\n${note}`, { isRunning: false, callId, ...data })
  }

  #partial(call: RunningCall, text: string, data: object): CallToolResult {
    const agentId = this.#advertisedId(call)
    return toCallResult(
      { isError: false, text, images: [], data: { ...data, ...(agentId !== undefined && { agentId }) } },
      agentId,
    )
  }

  #advertisedId(call: RunningCall): string | undefined {
    const sandbox = this.#sandboxes.get(call)
    return sandbox && this.#context.sandboxes.advertise(sandbox.id)
  }
}
