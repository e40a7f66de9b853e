import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A real MCP server on a port, with sessions. */
export interface HttpMcpServer extends AsyncDisposable {
  url: string
  /** All requests, in order. */
  requests: IncomingMessage[]
  /** Number of sessions that were begun. */
  sessions: number
  /** Forgets all sessions, like a server that has restarted on the same port. */
  forget: () => Promise<void>
}

/** @param register adds the tools to the server of a session. */
export async function startHttpMcp(register: (server: McpServer) => void): Promise<HttpMcpServer> {
  const transports = new Map<string, StreamableHTTPServerTransport>()
  const begin = async (): Promise<StreamableHTTPServerTransport> => {
    started.sessions += 1
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, transport),
    })
    const server = new McpServer({ name: 'web', version: '1' })
    register(server)
    // The class types `onclose` as optional in a way that exactOptionalPropertyTypes refuses.
    await server.connect(transport as Parameters<McpServer['connect']>[0])
    return transport
  }
  const server = createServer(async (request, response) => {
    started.requests.push(request)
    const id = request.headers['mcp-session-id']
    const known = transports.get(String(id))
    if (id !== undefined && !known) return void response.writeHead(404).end('Session not found')
    await (known ?? (await begin())).handleRequest(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const forget = async (): Promise<void> => {
    const old = [...transports.values()]
    transports.clear()
    await Promise.all(old.map((transport) => transport.close()))
  }
  const started: HttpMcpServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, // the server listens
    requests: [],
    sessions: 0,
    forget,
    async [Symbol.asyncDispose]() {
      await forget()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return started
}
