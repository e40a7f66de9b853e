import { runCode, toolSource, type ToolSourceOptions } from '@theazo/core/tools'
import { AdvertisedSandboxes } from './resources/advertised-sandboxes.ts'
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
import { errorForClient } from './request-error.ts'
import { Resources } from './resources/resources.ts'
import { ToolCalls } from './calls/tool-calls.ts'
import { checkedTools, type ToolOptions } from './calls/tool-options.ts'
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
export interface TheazoMcpServerOptions extends ToolSourceOptions, ToolOptions {}

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

/** Handles the requests of one MCP client, independent of protocol and SDK. `sdk-v1` and `sdk-v2` connect it. */
export class McpHandlers {
  readonly tools: readonly ListedTool[]
  readonly resources: Resources
  /** Prompts are about code: a server without `run_code` has none. */
  readonly hasPrompts: boolean
  /** Receives the URI of a resource that has changed, if the client has subscribed to it. */
  onResourceUpdated: (uri: string) => void = () => {}
  /** Receives unexpected errors. The client gets none of their text. */
  onError: (error: unknown) => void = () => {}
  readonly #calls: ToolCalls
  readonly #sandboxes: AdvertisedSandboxes

  /** @throws {ConfigurationError} if options contradict each other, if a tool is unknown, or if no tool remains. */
  constructor(options: TheazoMcpServerOptions) {
    const checked = checkedTools(options)
    const source = toolSource(options)
    const onError = (error: unknown): void => this.onError(error)
    this.#sandboxes = new AdvertisedSandboxes(source)
    this.#calls = new ToolCalls({ ...checked, sandboxes: this.#sandboxes, account: source.account, onError })
    this.tools = [...checked.tools, ...this.#calls.sessionTools].map(listedTool)
    this.resources = new Resources(this.#sandboxes, { onUpdated: (uri) => this.onResourceUpdated(uri), onError })
    this.hasPrompts = checked.tools.includes(runCode)
  }

  /** Calls a tool, with its progress and its log messages. Rejects only if the request is aborted. */
  async callTool(name: string, input: unknown, request: CallRequest): Promise<CallToolResult> {
    const { id, signal, ask } = request
    const progress = createProgressReporter(request)
    const ended = logCall(name, request)
    try {
      const call = { name, input, requestId: id, signal, report: progress?.report, ask }
      const { result, errorCode } = await this.#calls.call(call)
      ended(errorCode)
      return result
    } finally {
      await progress?.end()
    }
  }

  /** The question before this call; undefined if it needs no approval, or if its input is invalid and it cannot run. */
  questionFor(name: string, input: unknown): ApprovalQuestion | undefined {
    return this.#calls.questionFor(name, input)
  }

  async complete(params: CompleteParams, signal: AbortSignal): Promise<CompleteResult> {
    try {
      return await complete(this.#sandboxes, params, signal)
    } catch (error) {
      throw signal.aborted ? error : errorForClient(error, this.onError)
    }
  }

  /** Stops all calls, also those that no request waits for, and ends all subscriptions: the client is gone. */
  close(): void {
    this.#calls.stopAll()
    this.resources.close()
  }
}
