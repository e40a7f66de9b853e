import { type CallRequest, type CallToolResult, type LogLevel, logLevels } from '../mcp-types.ts'

const maxMessageChars = 500

/**
 * Logs the start of a call to the client, and returns a function that logs its end. `debug` has every call, `warning` the
 * failed ones. The messages contain no code and no files. They go on the call's own stream, so that they reach a client
 * over HTTP without a further stream.
 */
export function logCall(
  tool: string,
  { notify, logLevel }: Pick<CallRequest, 'notify' | 'logLevel'>,
): (result: CallToolResult) => void {
  const startedAt = performance.now()
  const send = (level: LogLevel, data: Record<string, unknown>): void => {
    if (logLevel === undefined || severity(level) < severity(logLevel)) return
    const params = { level, logger: 'theazo', data: { tool: tool.slice(0, 100), ...data } }
    notify({ method: 'notifications/message', params }).catch(() => {}) // the client is gone
  }
  send('debug', { message: 'started' })
  return ({ isError, content: [first] }) => {
    const durationMs = Math.round(performance.now() - startedAt)
    if (!isError) return send('debug', { message: 'answered', durationMs })
    const text = first?.type === 'text' ? first.text : ''
    send('warning', { message: `failed: ${text.slice(0, maxMessageChars)}`, durationMs })
  }
}

function severity(level: LogLevel): number {
  return logLevels.indexOf(level)
}
