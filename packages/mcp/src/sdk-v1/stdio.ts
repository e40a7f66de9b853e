import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import type { McpHandlers } from '../mcp-handlers.ts'
import type { StdioConnection, StdioOptions } from '../serve-stdio.ts'
import { createServerV1 } from './server.ts'

/** Serves one client over the standard streams by version 1 of the SDK. */
export async function connectStdioV1(
  handlers: McpHandlers,
  { onClose, onError }: StdioOptions,
): Promise<StdioConnection> {
  const { server } = createServerV1(handlers)
  Object.assign(server, { onclose: onClose, onerror: onError }) // the transport closes by itself after a line over 10 MiB
  await server.connect(new StdioServerTransport())
  return { close: () => server.close() }
}
