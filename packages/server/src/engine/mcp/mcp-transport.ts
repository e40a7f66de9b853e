import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { McpServerOptions } from './mcp-options.ts'

/** Maximum bytes of one message of a server process. */
const maxMessageBytes = 16 * 1024 * 1024

/** How long a remote server may need to end its session. */
const closeTimeoutMs = 1_000

/** The transport to a server. It starts when a client connects with it. */
export async function openTransport(options: McpServerOptions): Promise<Transport> {
  if ('url' in options) {
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
    const requestInit = { headers: options.headers ?? {} }
    // The class types `sessionId` as optional in a way that exactOptionalPropertyTypes refuses.
    return new StreamableHTTPClientTransport(new URL(options.url), { requestInit }) as Transport
  }
  const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js')
  const { command, args = [], env = {} } = options
  // Standard error is dropped: it may have keys, and the server's own log is one JSON object a line.
  return new StdioClientTransport({ command, args, env, stderr: 'ignore', maxBufferSize: maxMessageBytes })
}

/** Ends the session of a remote server, and closes the connection. A process ends with it. Never rejects. */
export async function closeClient(client: Client): Promise<void> {
  const { transport } = client
  if (transport && 'terminateSession' in transport && typeof transport.terminateSession === 'function') {
    const ended: Promise<unknown> = Promise.resolve(transport.terminateSession())
    await Promise.race([ended.catch(() => {}), sleep(closeTimeoutMs, undefined, { ref: false })])
  }
  await client.close().catch(() => {})
}
