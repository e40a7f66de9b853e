/**
 * The smallest server that the MCP SDK allows: one tool that does nothing, over stdio, or over HTTP with `http`.
 *
 * @module
 */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import type { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'

function createMinimalServer(): McpServer {
  const server = new McpServer({ name: 'minimal', version: '0.0.0' })
  server.registerTool('noop', {}, () => ({ content: [{ type: 'text', text: 'nothing' }] }))
  return server
}

if (process.argv[2] === 'http') {
  const { StreamableHTTPServerTransport } = await import('@modelcontextprotocol/sdk/server/streamableHttp.js')
  const transports = new Map<string, StreamableHTTPServerTransport>()
  const http = createServer(async (request, response) => {
    let transport = transports.get(String(request.headers['mcp-session-id']))
    if (!transport) {
      const created = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => void transports.set(id, created),
      })
      transport = created
      await createMinimalServer().connect(transport as Parameters<McpServer['connect']>[0]) // optional fields of the SDK
    }
    await transport.handleRequest(request, response)
  })
  http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`))
} else {
  await createMinimalServer().connect(new StdioServerTransport())
}
