import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  CallToolRequestSchema,
  type CallToolResult,
  ListToolsRequestSchema,
  type ServerNotification,
  type ServerRequest,
} from '@modelcontextprotocol/sdk/types.js'
import { ConfigurationError } from '@theazo/core'
import {
  type AnyTool,
  selectTools,
  type SelectToolsOptions,
  type ToolSandbox,
  toolSource,
  type ToolSource,
  type ToolSourceOptions,
} from '@theazo/core/tools'
import { AdvertisedSandboxes } from './advertised-sandboxes.ts'
import { errorCallResult, toCallResult } from './call-result.ts'
import { registerFileResources } from './file-resources.ts'
import { listedTool } from './listed-tool.ts'
import { createProgressReporter } from './progress-reporter.ts'
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
}

const instructions =
  'All tools use one isolated Linux sandbox, which is created at the first call. ' +
  'Files in /workspace remain until the sandbox ends.'

/**
 * Creates an MCP server that offers the Theazo tools (by default the groups `code` and `files`) and the files of its
 * sandbox as resources. Connect it to a transport. The MCP server never ends a sandbox: a `pool` ends its sandboxes when
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
    throw new ConfigurationError(
      'The options groups, only and readOnly leave no tool to offer. Remove one of them, or choose another group.',
      {
        code: 'configuration_error',
      },
    )
  }
  const { sandbox, account } = toolSource(options)
  const sandboxes = new AdvertisedSandboxes(sandbox)
  const server = new McpServer({ name: 'theazo', title: 'Theazo', version }, { instructions })
  registerTools(server, tools, { sandboxes, account, images: options.images ?? true })
  registerFileResources(server, sandboxes)
  return server
}

interface CallContext extends Pick<ToolSource, 'account'> {
  sandboxes: AdvertisedSandboxes
  images: boolean
}

/**
 * Connects the catalog to version 1 of the MCP SDK. It sets the request handlers itself because `registerTool` would
 * validate input before the catalog can parse it leniently.
 */
function registerTools({ server }: McpServer, tools: readonly AnyTool[], context: CallContext): void {
  const listed = tools.map(listedTool)
  const byName = new Map(tools.map((tool) => [tool.name, tool]))
  server.registerCapabilities({ tools: {} })
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: listed }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const tool = byName.get(params.name)
    if (tool) return await callTool(tool, params.arguments, extra, context)
    return errorCallResult(`There is no tool '${params.name}'. Valid: ${Array.from(byName.keys()).join(', ')}.`)
  })
}

async function callTool(
  tool: AnyTool,
  input: unknown,
  extra: RequestHandlerExtra<ServerRequest, ServerNotification>,
  { sandboxes, account, images }: CallContext,
): Promise<CallToolResult> {
  const { signal } = extra
  const progress = createProgressReporter(extra)
  let used: ToolSandbox | undefined
  try {
    const result = await tool.run(input, {
      sandbox: async () => (used = await sandboxes.current()),
      account,
      images,
      signal,
      callId: String(extra.requestId),
      report: progress?.report,
    })
    if (result.isError) return errorCallResult(result.text)
    return toCallResult(result, used && sandboxes.advertise(used))
  } catch (error) {
    if (signal.aborted) throw error // the client does not wait for a result
    return errorCallResult(`${tool.name} failed: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    await progress?.end()
  }
}
