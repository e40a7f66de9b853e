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
import { errorCallResult, toCallResult } from './call-result.ts'
import { registerFileResources } from './file-resources.ts'
import { GivenSandboxes } from './given-sandboxes.ts'
import { listedTool } from './listed-tool.ts'
import { createProgressReporter } from './progress-reporter.ts'
import { version } from './version.ts'

/** Where the tools of an MCP server work, which of them it offers, and how. */
export interface TheazoMcpServerOptions extends ToolSourceOptions, SelectToolsOptions {
  /** False: images are named in the text and not sent. Default true. */
  images?: boolean | undefined
}

const instructions =
  'The tools work in one isolated Linux sandbox, which is made at the first call. ' +
  'Files in /workspace last from call to call, until the sandbox ends.'

/**
 * An MCP server that offers the Theazo tools, by default those of the groups `code` and `files`, and the files of its
 * sandbox as resources. Connect it to a transport. It ends no sandbox: a pool that you give ends its own when you
 * dispose it, and the server of the API ends the others when they are idle.
 *
 * @throws {ConfigurationError} for options that contradict each other, unknown tools, or if no tool is left.
 * @example
 * ```ts
 * const server = createTheazoMcpServer({ userId: 'user_123', groups: 'all' })
 * await server.connect(new StdioServerTransport())
 * ```
 */
export function createTheazoMcpServer(options: TheazoMcpServerOptions): McpServer {
  const tools = selectTools(options)
  if (tools.length === 0) {
    throw new ConfigurationError('No tool is left to offer: groups, only and readOnly have none in common.', {
      code: 'configuration_error',
    })
  }
  const { sandbox, account } = toolSource(options)
  const sandboxes = new GivenSandboxes(sandbox)
  const server = new McpServer({ name: 'theazo', title: 'Theazo', version }, { instructions })
  registerTools(server, tools, { sandboxes, account, images: options.images ?? true })
  registerFileResources(server, sandboxes)
  return server
}

interface CallContext extends Pick<ToolSource, 'account'> {
  sandboxes: GivenSandboxes
  images: boolean
}

/**
 * The one place where the catalog meets version 1 of the SDK. These are the low-level handlers: `registerTool` would
 * check input by a schema of its own, before the catalog could read what the model meant.
 */
function registerTools({ server }: McpServer, tools: readonly AnyTool[], context: CallContext): void {
  const listed = tools.map(listedTool)
  const byName = new Map(tools.map((tool) => [tool.name, tool]))
  server.registerCapabilities({ tools: {} })
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: listed }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const tool = byName.get(params.name)
    if (tool) return await callTool(tool, params.arguments, extra, context)
    return errorCallResult(`There is no tool '${params.name}'. There are ${Array.from(byName.keys()).join(', ')}.`)
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
    return toCallResult(result, used && sandboxes.give(used))
  } catch (error) {
    if (signal.aborted) throw error // nobody waits for an answer
    return errorCallResult(`${tool.name} failed: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    await progress?.end()
  }
}
