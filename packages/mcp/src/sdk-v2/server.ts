import { setTimeout } from 'node:timers/promises'
import {
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  inputRequired,
  type InputRequiredResult,
  inputResponse,
  LOG_LEVEL_META_KEY,
  Server,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { approvalTimeoutMs } from '../calls/approval.ts'
import { instructions, type McpHandlers, serverInfo } from '../mcp-handlers.ts'
import { type Approval, type CallRequest, type LogLevel, logLevels } from '../mcp-types.ts'
import { getPrompt, listedPrompts } from '../resources/prompts.ts'

/** The pause before a result. In the new protocol the server can send no ping to learn what the client has handled. */
const resultDelayMs = 50

/** The facts about its client in a request. The SDK has checked them, but its type has no fields. */
interface Envelope {
  [CLIENT_CAPABILITIES_META_KEY]?: ClientCapabilities
  [LOG_LEVEL_META_KEY]?: unknown
}

/** The key of the answer to the question whether a call may run. */
const approvalKey = 'approval'

/**
 * Connects handlers to version 2 of the MCP SDK, which speaks protocol 2026-07-28, and the older ones with clients that
 * initialize. In the new protocol one connection has many of these servers; so they have no state.
 */
export function createServerV2(handlers: McpHandlers): Server {
  const { resources } = handlers
  const server = new Server(
    { ...serverInfo },
    {
      instructions,
      inputRequired: { roundTimeoutMs: approvalTimeoutMs },
      capabilities: {
        tools: {},
        logging: {},
        completions: {},
        resources: { subscribe: true },
        ...(handlers.hasPrompts && { prompts: {} }),
      },
    },
  )
  server.setRequestHandler('tools/list', () => ({ tools: [...handlers.tools] }))
  registerCall(server, handlers)
  server.setRequestHandler('completion/complete', async ({ params }, { mcpReq }) => ({
    ...(await handlers.complete(params, mcpReq.signal)),
  }))
  server.setRequestHandler('resources/list', () => ({ resources: resources.list() }))
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: resources.templates() }))
  server.setRequestHandler('resources/read', async ({ params: { uri } }, { mcpReq }) => ({
    ...(await resources.read(uri, mcpReq.signal)),
  }))
  // Only clients that initialize send these two: in the new protocol they listen (`Listens`).
  server.setRequestHandler('resources/subscribe', async ({ params: { uri } }, { mcpReq }) => {
    await resources.subscribe(uri, mcpReq.signal)
    return {}
  })
  server.setRequestHandler('resources/unsubscribe', ({ params: { uri } }) => {
    resources.unsubscribe(uri)
    return {}
  })
  if (handlers.hasPrompts) {
    server.setRequestHandler('prompts/list', () => ({ prompts: [...listedPrompts] }))
    server.setRequestHandler('prompts/get', ({ params: { name, arguments: values } }) => ({
      ...getPrompt(name, values),
    }))
  }
  return server
}

function registerCall(server: Server, handlers: McpHandlers): void {
  /** The level that a client which initializes has set. */
  let sessionLevel: LogLevel = 'warning'
  server.setRequestHandler('logging/setLevel', ({ params: { level } }) => {
    sessionLevel = level
    return {}
  })
  server.setRequestHandler(
    'tools/call',
    async ({ params: { name, arguments: input } }, context): Promise<CallToolResult | InputRequiredResult> => {
      const { mcpReq } = context
      const question = handlers.questionFor(name, input)
      let approval: Approval = 'unsupported'
      if (question && canAsk(server, context)) {
        // The server cannot send a request in the new protocol: the client repeats its own with the answer.
        const answer = inputResponse(mcpReq.inputResponses, approvalKey)
        if (answer.kind === 'missing') {
          return inputRequired({ inputRequests: { [approvalKey]: inputRequired.elicit(question) } })
        }
        approval = answer.kind === 'elicit' && answer.action === 'accept' ? 'approved' : 'declined'
      }
      const request: CallRequest = {
        id: String(mcpReq.id),
        signal: mcpReq.signal,
        progressToken: mcpReq._meta?.progressToken,
        logLevel: mcpReq.envelope ? requestLevel(mcpReq.envelope) : sessionLevel,
        notify: (notification) => mcpReq.notify({ ...notification }),
        async flush() {
          if (!context.http) await setTimeout(resultDelayMs) // over HTTP each message is a chunk of its own
        },
        ask: async () => approval,
      }
      return { ...(await handlers.callTool(name, input, request)) }
    },
  )
}

function canAsk(server: Server, { mcpReq }: ServerContext): boolean {
  // A client that initializes has stated its capabilities once, any other states them in each request.
  const { [CLIENT_CAPABILITIES_META_KEY]: stated } = (mcpReq.envelope ?? {}) as Envelope
  const { elicitation } = (mcpReq.envelope ? stated : server.getClientCapabilities()) ?? {}
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined)
}

/** A request without a level wants no log messages. */
function requestLevel(envelope: Envelope): LogLevel | undefined {
  return logLevels.find((known) => known === envelope[LOG_LEVEL_META_KEY])
}
