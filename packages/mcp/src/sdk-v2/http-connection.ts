import { createMcpHandler, ProtocolError } from '@modelcontextprotocol/server'
import { countOpen } from '../http/count-open.ts'
import type { HttpConnection } from '../http/mcp-sessions.ts'
import type { McpHandlers } from '../mcp-handlers.ts'
import { Listens } from './listens.ts'
import { createServerV2 } from './server.ts'

/** The cap on open streams that wait for changes. */
const maxListens = 20

/** Answers the requests of one user in protocol 2026-07-28, in which each request stands alone. */
export function connectHttpV2(handlers: McpHandlers, onError: (error: Error) => void): HttpConnection {
  const listens = new Listens(handlers.resources)
  const handler = createMcpHandler(() => createServerV2(handlers), {
    legacy: 'reject',
    maxSubscriptions: maxListens,
    onerror: (error) => {
      if (!isClientFault(error)) onError(error)
    },
  })
  handlers.onResourceUpdated = (uri) => handler.notify.resourceUpdated(uri)
  return {
    async answer(request, parsedBody) {
      const end = listens.add(parsedBody)
      try {
        const response = await handler.fetch(request, { parsedBody })
        return end ? countOpen(response, end) : response
      } catch (error) {
        end?.()
        throw error
      }
    },
    async close() {
      handlers.close()
      await handler.close()
    },
  }
}

/** The SDK also reports the requests that it refuses. Their client has the answer; they are no news for the operator. */
function isClientFault(error: Error): boolean {
  return error instanceof ProtocolError || /^(Rejected|Unsupported) |^subscriptions\/listen refused/.test(error.message)
}
