import { type CallRequest, type LogLevel, logLevels } from '../mcp-types.ts'

/**
 * Logs the start of a call to the client, and returns a function that logs its end, given the code of its error if it
 * failed. `debug` has every call, `warning` the failed ones. The messages contain no text of an error: it may contain
 * code, output or lines of a file. They go on the call's own stream, so that they reach a client over HTTP without a
 * further stream.
 */
export function logCall(
  tool: string,
  { notify, logLevel }: Pick<CallRequest, 'notify' | 'logLevel'>,
): (errorCode: string | undefined) => void {
  const startedAt = performance.now()
  const send = (level: LogLevel, data: Record<string, unknown>): void => {
    if (logLevel === undefined || severity(level) < severity(logLevel)) return
    const params = { level, logger: 'theazo', data: { tool: tool.slice(0, 100), ...data } }
    notify({ method: 'notifications/message', params }).catch(() => {}) // the client is gone
  }
  send('debug', { message: 'started' })
  return (errorCode) => {
    const durationMs = Math.round(performance.now() - startedAt)
    if (errorCode === undefined) send('debug', { message: 'answered', durationMs })
    else send('warning', { message: 'failed', code: errorCode, durationMs })
  }
}

function severity(level: LogLevel): number {
  return logLevels.indexOf(level)
}
