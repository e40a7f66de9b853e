import {
  configurationError,
  runCode,
  selectTools,
  type SelectToolsOptions,
  type ToolName,
  toolSource,
  type ToolSourceOptions,
} from '@theazo/core/tools'
import { AdvertisedSandboxes } from './resources/advertised-sandboxes.ts'
import { answerSecondsBounds } from './calls/answer-seconds.ts'
import { logCall } from './calls/call-log.ts'
import { complete } from './resources/completions.ts'
import { listedTool } from './calls/listed-tool.ts'
import type {
  ApprovalQuestion,
  CallRequest,
  CallToolResult,
  CompleteParams,
  CompleteResult,
  ListedTool,
} from './mcp-types.ts'
import { createProgressReporter } from './calls/progress-reporter.ts'
import { Resources } from './resources/resources.ts'
import { ToolCalls } from './calls/tool-calls.ts'
import { version } from './version.ts'

/**
 * The sandbox of an MCP server's tools (exactly one of `userId`, `session` and `agent`), and the tools that it offers.
 *
 * @example
 * ```ts
 * import type { TheazoMcpServerOptions } from '@theazo/mcp'
 *
 * const options: TheazoMcpServerOptions = { userId: 'user_123', groups: ['code', 'files', 'usage'], images: false }
 * ```
 */
export interface TheazoMcpServerOptions extends ToolSourceOptions, SelectToolsOptions {
  /** False: images are not sent; the text names them. Default true. */
  images?: boolean | undefined
  /**
   * The longest time until a tool call answers, in seconds: 1 to 3600, default 45. A longer call answers with its output
   * so far and a `callId`, and continues; the tool `wait` returns the rest. Many clients give up after about 60 s.
   */
  answerSeconds?: number | undefined
  /**
   * Names of tools that run only after the user has approved the call, by an elicitation of the client. If the client
   * cannot ask, the call is refused. Default: none, because most clients ask by themselves.
   */
  approve?: readonly ToolName[] | undefined
}

/** How the server names itself to clients. */
export const serverInfo: Readonly<Record<'name' | 'title' | 'version', string>> = {
  name: 'theazo',
  title: 'Theazo',
  version,
}

/** What clients tell their model about the server. */
export const instructions: string =
  'All tools use one isolated Linux sandbox, which is created at the first call. ' +
  'Files in /workspace remain until the sandbox ends. ' +
  'A call that takes long answers "still running" with a callId: call wait with it for the rest.'

/**
 * The answers to the requests of one MCP client. It knows no version of the protocol and no SDK: `sdk-v1` and `sdk-v2`
 * connect it to one each.
 */
export class McpHandlers {
  readonly tools: readonly ListedTool[]
  readonly resources: Resources
  /** Prompts are about code, so that a server without `run_code` has none. */
  readonly hasPrompts: boolean
  /** Receives the URI of a resource that has changed, if the client has subscribed to it. */
  onResourceUpdated: (uri: string) => void = () => {}
  readonly #calls: ToolCalls
  readonly #sandboxes: AdvertisedSandboxes

  /** @throws {ConfigurationError} if options contradict each other, if a tool is unknown, or if no tool remains. */
  constructor(options: TheazoMcpServerOptions) {
    const tools = selectTools(options)
    if (tools.length === 0) {
      throw configurationError(
        'The options groups, only and readOnly leave no tool to offer. Remove one of them, or choose another group.',
      )
    }
    const source = toolSource(options)
    const { approve = [], images = true, readOnly: isReadOnly = false } = options
    selectTools({ only: approve }) // throws for an unknown name
    this.#sandboxes = new AdvertisedSandboxes(source)
    this.#calls = new ToolCalls({
      tools,
      sandboxes: this.#sandboxes,
      account: source.account,
      images,
      isReadOnly,
      answerSeconds: checkedAnswerSeconds(options.answerSeconds),
      approve,
    })
    this.tools = [...tools, ...this.#calls.sessionTools].map(listedTool)
    this.resources = new Resources(this.#sandboxes, (uri) => this.onResourceUpdated(uri))
    this.hasPrompts = tools.includes(runCode)
  }

  /** Calls a tool, with its progress and its log messages. Rejects only if the request is aborted. */
  async callTool(name: string, input: unknown, request: CallRequest): Promise<CallToolResult> {
    const { id, signal, ask } = request
    const progress = createProgressReporter(request)
    const ended = logCall(name, request)
    try {
      const result = await this.#calls.call({ name, input, requestId: id, signal, report: progress?.report, ask })
      ended(result)
      return result
    } finally {
      await progress?.end()
    }
  }

  /** The question that the user must answer before this call runs; undefined if it needs no approval. */
  questionFor(name: string, input: unknown): ApprovalQuestion | undefined {
    return this.#calls.questionFor(name, input)
  }

  async complete(params: CompleteParams, signal: AbortSignal): Promise<CompleteResult> {
    return await complete(this.#sandboxes, params, signal)
  }

  /** Stops all calls, also those that no request waits for, and ends all subscriptions: the client is gone. */
  close(): void {
    this.#calls.stopAll()
    this.resources.close()
  }
}

function checkedAnswerSeconds(seconds: number = answerSecondsBounds.default): number {
  const { min, max } = answerSecondsBounds
  if (Number.isInteger(seconds) && seconds >= min && seconds <= max) return seconds
  throw configurationError(`answerSeconds must be a whole number from ${min} to ${max}, not ${seconds}.`)
}
