import { isBlank, modelText, type ToolProgress } from '@theazo/core/tools'
import type { CallRequest } from '../mcp-types.ts'

/** Reports the output of one tool call to the client while the call runs. */
export interface ProgressReporter {
  /** Adds a chunk of output. */
  report: (progress: ToolProgress) => void
  /** Sends the unsent output, then waits until the result may follow. */
  end: () => Promise<void>
}

/** The shortest time between two notifications: clients redraw at each one. */
const intervalMs = 100
/** The length of one notification's text. */
const maxMessageChars = 500

/**
 * Sends the output of a call as `notifications/progress`: the first immediately, then at most one every 100 ms, each
 * with the last lines of the output so far. Returns undefined if the request has no progress token: MCP then forbids
 * progress notifications.
 */
export function createProgressReporter({
  progressToken,
  signal,
  notify,
  flush,
}: Pick<CallRequest, 'progressToken' | 'signal' | 'notify' | 'flush'>): ProgressReporter | undefined {
  if (progressToken === undefined) return undefined
  let output = ''
  let hasUnsentOutput = false
  let progress = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const send = (): void => {
    hasUnsentOutput = false
    progress += 1
    const params = { progressToken, progress, message: modelText(lastLines(output)) }
    // Not awaited: a client that does not read must not delay the call. Errors mean that the client is gone.
    void notify({ method: 'notifications/progress', params }).catch(() => {})
  }
  const sendThenWait = (): void => {
    if (hasUnsentOutput && !signal.aborted) send()
    else return void (timer = undefined)
    timer = setTimeout(sendThenWait, intervalMs)
  }
  return {
    report({ message }) {
      output = `${output}${message}`.slice(-4 * maxMessageChars)
      hasUnsentOutput ||= !isBlank(message)
      if (timer === undefined) sendThenWait()
    },
    async end() {
      clearTimeout(timer)
      if (hasUnsentOutput && !signal.aborted) send()
      if (progress > 0 && !signal.aborted) await flush()
    },
  }
}

/** The end of the output, cut at the start of a line if possible. */
function lastLines(output: string): string {
  const text = output.trimEnd()
  if (text.length <= maxMessageChars) return text
  const tail = text.slice(-maxMessageChars)
  const lineEnd = tail.indexOf('\n')
  return lineEnd === -1 ? tail : tail.slice(lineEnd + 1)
}
