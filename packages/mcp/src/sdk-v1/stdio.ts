import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import type { McpHandlers } from '../mcp-handlers.ts'
import type { StdioConnection, StdioOptions } from '../commands/serve-stdio.ts'
import { createServerV1 } from './server.ts'

/** Serves one client over the standard streams by version 1 of the SDK. */
export async function connectStdioV1(
  handlers: McpHandlers,
  { onClose, onError }: StdioOptions,
): Promise<StdioConnection> {
  const mcp = createServerV1(handlers)
  // The transport closes by itself after a line over 10 MiB.
  Object.assign(mcp.server, { onclose: onClose, onerror: onError })
  await mcp.connect(new StdioServerTransport())
  return { close: () => mcp.close() }
}
