import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { StreamableHTTPClientTransport as StreamableHTTPClientTransportV2 } from '@modelcontextprotocol/client'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { createTheazoMcpApp, type McpHttp, type TheazoMcpAppOptions } from '../http/index.ts'
import { type ClientSettings, connectClientV1, connectClientV2, type TestClient } from './test-client.ts'

/** An app on a port of its own. */
export interface ListeningApp extends AsyncDisposable {
  app: McpHttp
  /** The URL of the endpoint. */
  url: string
}

/** A client over HTTP. */
export interface HttpTestClient extends TestClient {
  transport: StreamableHTTPClientTransport
}

/** Serves the app on a free port, as the program does. */
export async function listenApp(options: TheazoMcpAppOptions): Promise<ListeningApp> {
  return await listen(createTheazoMcpApp(options))
}

/** Serves any app of the same kind. Disposing it disposes the app. */
export async function listen(app: McpHttp): Promise<ListeningApp> {
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }) as Server // without options it is HTTP/1
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a server that listens on a TCP port
  return {
    app,
    url: `http://127.0.0.1:${port}/mcp`,
    async [Symbol.asyncDispose]() {
      server.close()
      await app[Symbol.asyncDispose]()
      server.closeAllConnections()
    },
  }
}

/** Connects the SDK's client. Disposing it ends the session. */
export async function connectHttp(url: string, token?: string): Promise<HttpTestClient> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
  // The cast: its optional fields may be undefined.
  const mcp = await connectClientV1((client) => client.connect(transport as Parameters<Client['connect']>[0]))
  return {
    ...mcp,
    transport,
    async [Symbol.asyncDispose]() {
      await transport.terminateSession()
      await mcp.client.close()
    },
  }
}

/** Connects the client of version 2 of the SDK, which speaks protocol 2026-07-28 and has no session. */
export async function connectHttpV2(url: string, token?: string, settings?: ClientSettings): Promise<TestClient> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const transport = new StreamableHTTPClientTransportV2(new URL(url), { requestInit: { headers } })
  return await connectClientV2((client) => client.connect(transport), 'modern', settings)
}

/** The message of a request to initialize. */
export const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '0' } },
} as const

/** Sends one message by POST. */
export async function post(
  url: string,
  message: unknown,
  {
    sessionId,
    headers = {},
    signal,
  }: { sessionId?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    body: typeof message === 'string' ? message : JSON.stringify(message),
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(sessionId !== undefined && { 'mcp-session-id': sessionId, 'mcp-protocol-version': '2025-11-25' }),
      ...headers,
    },
    ...(signal && { signal }),
  })
}

/** Initializes a session without the SDK's client, and returns its id. */
export async function openSession(url: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await post(url, initialize, { headers })
  await response.text()
  const sessionId = response.headers.get('mcp-session-id')
  if (sessionId === null) throw new Error(`There is no session: ${response.status}`)
  await post(url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { sessionId, headers })
  return sessionId
}
