import type { Server } from '@modelcontextprotocol/sdk/server/index.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  type CallToolResult,
  type LoggingLevel,
  LoggingLevelSchema,
  type ServerNotification,
  type ServerRequest,
  SetLevelRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'

/** Logs the calls of one client. */
export interface CallLog {
  /** Logs the start of a call. The returned function logs its end. */
  start: (
    tool: string,
    extra: Pick<RequestHandlerExtra<ServerRequest, ServerNotification>, 'sendNotification'>,
  ) => (result: CallToolResult) => void
}

/** Until the client sets a level, it receives faults only. */
const defaultLevel: LoggingLevel = 'warning'
const maxMessageChars = 500

/**
 * Sends log messages to the client, from the level that it sets: `debug` has every call, `warning` the failed ones. They
 * contain no code and no files. They go with the call's own messages, which reach a client over HTTP without a further
 * stream.
 */
export function createCallLog(server: Server): CallLog {
  let minimum = defaultLevel
  server.registerCapabilities({ logging: {} })
  server.setRequestHandler(SetLevelRequestSchema, ({ params: { level } }) => {
    minimum = level
    return {}
  })
  return {
    start(tool, { sendNotification }) {
      const startedAt = performance.now()
      const send = (level: LoggingLevel, data: Record<string, unknown>): void => {
        if (severity(level) < severity(minimum)) return
        const params = { level, logger: 'theazo', data: { tool: tool.slice(0, 100), ...data } }
        sendNotification({ method: 'notifications/message', params }).catch(() => {}) // the client is gone
      }
      send('debug', { message: 'started' })
      return ({ isError, content: [first] }) => {
        const durationMs = Math.round(performance.now() - startedAt)
        if (!isError) return send('debug', { message: 'answered', durationMs })
        const text = first?.type === 'text' ? first.text : ''
        send('warning', { message: `failed: ${text.slice(0, maxMessageChars)}`, durationMs })
      }
    },
  }
}

function severity(level: LoggingLevel): number {
  return LoggingLevelSchema.options.indexOf(level)
}
