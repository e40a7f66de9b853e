import { InMemoryTransport as InMemoryTransportV2 } from '@modelcontextprotocol/client'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { McpHandlers, type TheazoMcpServerOptions } from '../mcp-handlers.ts'
import { createTheazoMcpServer } from '../sdk-v1/server.ts'
import { serveTransportV2 } from '../sdk-v2/stdio.ts'
import { type ClientSettings, connectClientV1, connectClientV2, type TestClient } from './test-client.ts'

/** Settings of a client and of the server in this process. */
export interface InProcessSettings extends ClientSettings {
  /** Receives the unexpected errors of the server. */
  onError?: (error: unknown) => void
}

/** Connects a client to a server in this process. */
export type ConnectInProcess = (options: TheazoMcpServerOptions, settings?: InProcessSettings) => Promise<TestClient>

/** The client and the server of version 1 of the SDK. */
export const connectV1: ConnectInProcess = async (options, settings) => {
  const server = createTheazoMcpServer(options)
  if (settings?.onError) Object.assign(server.server, { onerror: settings.onError })
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  await server.connect(serverSide)
  return await connectClientV1((client) => client.connect(clientSide), settings)
}

const connectV2 = (mode: 'legacy' | 'modern'): ConnectInProcess => {
  return async (options, settings) => {
    const handlers = new McpHandlers(options)
    if (settings?.onError) handlers.onError = settings.onError
    const [clientSide, serverSide] = InMemoryTransportV2.createLinkedPair()
    serveTransportV2(handlers, serverSide, {
      acceptsInitialize: mode === 'legacy',
      onClose: () => handlers.close(),
      onError: () => {},
    })
    return await connectClientV2((client) => client.connect(clientSide), mode, settings)
  }
}

/** The client and the server of version 2 of the SDK, with protocol 2026-07-28. */
export const connectV2Modern: ConnectInProcess = connectV2('modern')

/** The client and the server of version 2 of the SDK, with a client that initializes. */
export const connectV2Legacy: ConnectInProcess = connectV2('legacy')
