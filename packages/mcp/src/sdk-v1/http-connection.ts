import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js'
import type { HttpConnection, HttpConnectionOptions } from '../http/mcp-sessions.ts'
import { RecentEvents } from '../http/recent-events.ts'

export { createServerV1 } from './server.ts'

/** Connects a server of version 1 of the SDK to one session over HTTP. */
export async function connectHttpV1(
  server: McpServer,
  { sessionId, onInitialized, onClosed }: HttpConnectionOptions,
): Promise<HttpConnection> {
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => sessionId,
    eventStore: new RecentEvents<JSONRPCMessage>(),
    onsessioninitialized: onInitialized,
    onsessionclosed: onClosed,
  })
  await server.connect(transport)
  return {
    answer: (request, parsedBody) => transport.handleRequest(request, { parsedBody }),
    close: () => server.close(),
  }
}
