import {
  isJSONRPCNotification,
  isJSONRPCRequest,
  type JSONRPCMessage,
  type RequestId,
  type Transport,
} from '@modelcontextprotocol/server'
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio'
import type { McpHandlers } from '../mcp-handlers.ts'
import type { StdioConnection, StdioOptions } from '../commands/serve-stdio.ts'
import { Listens } from './listens.ts'
import { createServerV2 } from './server.ts'

/** Serves one client over the standard streams by version 2 of the SDK. */
export async function connectStdioV2(handlers: McpHandlers, options: StdioOptions): Promise<StdioConnection> {
  return serveTransportV2(handlers, new StdioServerTransport(), options)
}

/** Serves one client over any transport that keeps a connection. */
export function serveTransportV2(
  handlers: McpHandlers,
  transport: Transport,
  { acceptsInitialize, onClose, onError }: StdioOptions,
): StdioConnection {
  const { close } = serveStdio(() => createConnectedServer(handlers), {
    legacy: acceptsInitialize ? 'serve' : 'reject',
    transport: watched(transport, new Listens(handlers.resources), onClose),
    onerror: onError,
  })
  return {
    async close() {
      handlers.close()
      await close()
    },
  }
}

function createConnectedServer(handlers: McpHandlers): ReturnType<typeof createServerV2> {
  const server = createServerV2(handlers)
  handlers.onResourceUpdated = (uri) => {
    server.sendResourceUpdated({ uri }).catch(() => {}) // the client is gone
  }
  return server
}

/** The same transport. Its messages are also read for the resources that the client listens to. */
function watched(inner: Transport, listens: Listens, onClose: () => void): Transport {
  const open = new Map<RequestId, () => void>()
  const watch = (message: JSONRPCMessage): void => {
    if (isJSONRPCRequest(message)) {
      const end = listens.add(message)
      if (!end) return
      open.get(message.id)?.() // the client has used the id twice
      open.set(message.id, end)
    } else if (isJSONRPCNotification(message) && message.method === 'notifications/cancelled') {
      const id = message.params?.['requestId'] as RequestId // an id of another type is no key of the map
      open.get(id)?.()
      open.delete(id)
    }
  }
  const outer: Transport = {
    async start() {
      const listeners: Pick<Transport, 'onmessage' | 'onclose' | 'onerror'> = {
        onmessage: (message, extra) => {
          watch(message)
          outer.onmessage?.(message, extra)
        },
        onclose: () => {
          for (const end of open.values()) end()
          outer.onclose?.()
          onClose()
        },
        onerror: (error) => outer.onerror?.(error),
      }
      Object.assign(inner, listeners)
      await inner.start()
    },
    send: (message, options) => inner.send(message, options),
    close: () => inner.close(),
  }
  return outer
}
