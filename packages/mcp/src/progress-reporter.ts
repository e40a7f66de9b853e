import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import type { ServerNotification, ServerRequest } from '@modelcontextprotocol/sdk/types.js'
import { isBlank, modelText, type ToolProgress } from '@theazo/core/tools'

/** What a call reports to its client while it runs. */
export interface ProgressReporter {
  /** Adds a piece of output. */
  report: (progress: ToolProgress) => void
  /** Sends what is left, and waits until an answer may follow. */
  end: () => Promise<void>
}

/** A client redraws with each notification, so output that comes quicker is sent together. */
const intervalMs = 100
/** Clients drop a notification of a request that they have just read the answer of, in the same chunk of stdio. */
const answerGapMs = 10
/** Of the newest output, in one notification. */
const maxMessageChars = 500

/**
 * Sends the output of a call as `notifications/progress`: at once at first, then one in 100 ms at most, each with the
 * last lines so far. Undefined for a request that has no progress token: it must be sent none.
 */
export function createProgressReporter({
  _meta,
  signal,
  sendNotification,
}: Pick<RequestHandlerExtra<ServerRequest, ServerNotification>, '_meta' | 'signal' | 'sendNotification'>):
  | ProgressReporter
  | undefined {
  const progressToken = _meta?.progressToken
  if (progressToken === undefined) return undefined
  let output = ''
  let isNew = false
  let progress = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const send = (): void => {
    isNew = false
    progress += 1
    const params = { progressToken, progress, message: modelText(lastLines(output)) }
    // Not awaited: a client that does not read must not hold up the call. One that is gone needs no progress.
    void sendNotification({ method: 'notifications/progress', params }).catch(() => {})
  }
  const sendAndRest = (): void => {
    if (isNew && !signal.aborted) send()
    else return void (timer = undefined)
    timer = setTimeout(sendAndRest, intervalMs)
  }
  return {
    report({ message }) {
      output = `${output}${message}`.slice(-4 * maxMessageChars)
      isNew ||= !isBlank(message)
      if (timer === undefined) sendAndRest()
    },
    async end() {
      clearTimeout(timer)
      if (isNew && !signal.aborted) send()
      if (progress > 0 && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, answerGapMs))
    },
  }
}

/** The end of the output, from the start of a line if one starts there. */
function lastLines(output: string): string {
  const text = output.trimEnd()
  if (text.length <= maxMessageChars) return text
  const tail = text.slice(-maxMessageChars)
  const lineEnd = tail.indexOf('\n')
  return lineEnd === -1 ? tail : tail.slice(lineEnd + 1)
}
