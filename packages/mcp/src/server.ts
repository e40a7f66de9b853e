import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import {
  configurationError,
  runCode,
  selectTools,
  type SelectToolsOptions,
  type ToolName,
  toolSource,
  type ToolSourceOptions,
} from '@theazo/core/tools'
import { AdvertisedSandboxes } from './advertised-sandboxes.ts'
import { answerSecondsBounds } from './answer-seconds.ts'
import { requestApproval } from './approval.ts'
import { createCallLog } from './call-log.ts'
import { registerCompletions } from './completions.ts'
import { listedTool } from './listed-tool.ts'
import { createProgressReporter } from './progress-reporter.ts'
import { registerPrompts } from './prompts.ts'
import { registerResources } from './resources.ts'
import { ToolCalls, type ToolCallsContext } from './tool-calls.ts'
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

const instructions =
  'All tools use one isolated Linux sandbox, which is created at the first call. ' +
  'Files in /workspace remain until the sandbox ends. ' +
  'A call that takes long answers "still running" with a callId: call wait with it for the rest.'

/**
 * Creates an MCP server that offers the Theazo tools (by default the groups `code` and `files`), resources and
 * prompts. Connect it to a transport. The MCP server never ends a sandbox: a `pool` ends its sandboxes when
 * you dispose it, and the Theazo server ends the others after 30 minutes without use. An `agent` is yours to end.
 *
 * @throws {ConfigurationError} if options contradict each other, if a tool is unknown, or if no tool remains.
 * @example
 * ```ts
 * import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
 * import { createTheazoMcpServer } from '@theazo/mcp'
 *
 * const server = createTheazoMcpServer({ userId: 'user_123', groups: 'all' })
 * await server.connect(new StdioServerTransport())
 * ```
 */
export function createTheazoMcpServer(options: TheazoMcpServerOptions): McpServer {
  const tools = selectTools(options)
  if (tools.length === 0) {
    throw configurationError(
      'The options groups, only and readOnly leave no tool to offer. Remove one of them, or choose another group.',
    )
  }
  const source = toolSource(options)
  const sandboxes = new AdvertisedSandboxes(source)
  const server = new TheazoMcpServer({ name: 'theazo', title: 'Theazo', version }, { instructions })
  const { approve = [] } = options
  selectTools({ only: approve }) // throws for an unknown name
  const calls = registerTools(server, {
    tools,
    sandboxes,
    account: source.account,
    images: options.images ?? true,
    isReadOnly: options.readOnly ?? false,
    answerSeconds: checkedAnswerSeconds(options.answerSeconds),
    approve,
  })
  const endSubscriptions = registerResources(server, sandboxes)
  registerCompletions(server, sandboxes)
  if (tools.includes(runCode)) registerPrompts(server)
  server.onDisconnect = () => {
    calls.stopAll()
    endSubscriptions()
  }
  return server
}

function checkedAnswerSeconds(seconds: number = answerSecondsBounds.default): number {
  const { min, max } = answerSecondsBounds
  if (Number.isInteger(seconds) && seconds >= min && seconds <= max) return seconds
  throw configurationError(`answerSeconds must be a whole number from ${min} to ${max}, not ${seconds}.`)
}

/**
 * Connects the catalog to version 1 of the MCP SDK. It sets the request handlers itself because `registerTool` would
 * validate input before the catalog can parse it leniently.
 */
function registerTools({ server }: McpServer, context: ToolCallsContext): ToolCalls {
  const calls = new ToolCalls(context)
  const listed = [...context.tools, ...calls.sessionTools].map(listedTool)
  server.registerCapabilities({ tools: {} })
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: listed }))
  const log = createCallLog(server)
  server.setRequestHandler(CallToolRequestSchema, async ({ params: { name, arguments: input } }, extra) => {
    const progress = createProgressReporter(extra)
    const { requestId, signal } = extra
    const ended = log.start(name, extra)
    try {
      const result = await calls.call({
        name,
        input,
        requestId: String(requestId),
        signal,
        report: progress?.report,
        requestApproval: async ({ title }, signal) => {
          return await requestApproval(server, { title, input }, { relatedRequestId: requestId, signal })
        },
      })
      ended(result)
      return result
    } finally {
      await progress?.end()
    }
  })
  return calls
}

/** A server that ends its calls when its transport closes, also those that no request waits for. */
class TheazoMcpServer extends McpServer {
  /** Called before the SDK handles the end of the connection. `onclose` of the server stays free for the user. */
  onDisconnect: (() => void) | undefined

  override async connect(transport: Transport): Promise<void> {
    const { onclose } = transport
    Object.assign(transport, {
      onclose: () => {
        this.onDisconnect?.()
        onclose?.()
      },
    })
    await super.connect(transport)
  }
}
