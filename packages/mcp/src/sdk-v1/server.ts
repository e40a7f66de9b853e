import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  EmptyResultSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
  type ServerNotification,
  type ServerRequest,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { approvalTimeoutMs } from '../calls/approval.ts'
import { instructions, McpHandlers, serverInfo, type TheazoMcpServerOptions } from '../mcp-handlers.ts'
import type { CallRequest, LogLevel } from '../mcp-types.ts'
import { getPrompt, listedPrompts } from '../resources/prompts.ts'

/** A client that does not answer pings must not delay results. */
const pingTimeoutMs = 250

/**
 * Creates an MCP server that offers the Theazo tools (by default the groups `code` and `files`), resources and
 * prompts. Connect it to a transport. The MCP server never ends a sandbox: a `pool` ends its sandboxes when
 * you dispose it, and the Theazo server ends the others after 30 minutes without use. An `agent` is yours to end. Unexpected
 * errors reach `server.server.onerror`; clients get none of their text.
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
  const handlers = new McpHandlers(options)
  const mcp = createServerV1(handlers)
  handlers.onError = (error) => mcp.server.onerror?.(error instanceof Error ? error : new Error(String(error)))
  return mcp
}

/**
 * Connects handlers to version 1 of the MCP SDK. It sets the request handlers itself because `registerTool` would
 * validate input before the catalog can parse it leniently.
 */
export function createServerV1(handlers: McpHandlers): McpServer {
  const mcp = new ClosingMcpServer({ ...serverInfo }, { instructions })
  mcp.onDisconnect = () => handlers.close()
  const { server } = mcp
  server.registerCapabilities({ tools: {}, logging: {}, completions: {}, resources: { subscribe: true } })
  /** Until the client sets a level, it receives faults only. */
  let logLevel: LogLevel = 'warning'
  server.setRequestHandler(SetLevelRequestSchema, ({ params: { level } }) => {
    logLevel = level
    return {}
  })
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [...handlers.tools] }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params: { name, arguments: input } }, extra) => {
    return { ...(await handlers.callTool(name, input, { ...callRequest(mcp, extra), logLevel })) }
  })
  server.setRequestHandler(CompleteRequestSchema, async ({ params }, { signal }) => {
    return { ...(await handlers.complete(params, signal)) }
  })
  registerResources(mcp, handlers)
  if (handlers.hasPrompts) registerPrompts(mcp)
  return mcp
}

function callRequest(
  { server }: McpServer,
  {
    requestId,
    signal,
    sendNotification,
    sendRequest,
    requestInfo,
    _meta,
  }: RequestHandlerExtra<ServerRequest, ServerNotification>,
): Omit<CallRequest, 'logLevel'> {
  return {
    id: String(requestId),
    signal,
    progressToken: _meta?.progressToken,
    notify: sendNotification,
    async flush() {
      // Over HTTP each message is a chunk of its own. Else the client answers a ping after it has handled the rest.
      if (requestInfo) return
      await sendRequest({ method: 'ping' }, EmptyResultSchema, { timeout: pingTimeoutMs, signal }).catch(() => {})
    },
    async ask(question, signal) {
      if (!server.getClientCapabilities()?.elicitation?.form) return 'unsupported'
      const options = { relatedRequestId: requestId, signal, timeout: approvalTimeoutMs }
      try {
        const { action } = await server.elicitInput(question, options)
        return action === 'accept' ? 'approved' : 'declined'
      } catch {
        return 'unanswered' // the time is over, or the client answered with an error
      }
    },
  }
}

/** `registerResource` is not used: it normalizes URIs. */
function registerResources({ server }: McpServer, handlers: McpHandlers): void {
  const { resources } = handlers
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: resources.list() }))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: resources.templates() }))
  server.setRequestHandler(ReadResourceRequestSchema, async ({ params: { uri } }, { signal }) => {
    return { ...(await resources.read(uri, signal)) }
  })
  server.setRequestHandler(SubscribeRequestSchema, async ({ params: { uri } }, { signal }) => {
    await resources.subscribe(uri, signal)
    return {}
  })
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params: { uri } }) => {
    resources.unsubscribe(uri)
    return {}
  })
  handlers.onResourceUpdated = (uri) => {
    server.sendResourceUpdated({ uri }).catch(() => {}) // the client is gone
  }
}

function registerPrompts({ server }: McpServer): void {
  server.registerCapabilities({ prompts: {} })
  server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: [...listedPrompts] }))
  server.setRequestHandler(GetPromptRequestSchema, ({ params: { name, arguments: values } }) => ({
    ...getPrompt(name, values),
  }))
}

/** A server that ends its calls when its transport closes, also those that no request waits for. */
class ClosingMcpServer extends McpServer {
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
