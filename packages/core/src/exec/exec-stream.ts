import { parseJson, requestIdOf } from '../transport/responses.ts'
import { ConnectionError, type TheazoError } from '../errors.ts'
import { EventSourceReader } from '../streams/event-source.ts'
import { awaitCallback } from './await-callback.ts'
import type { ExecChunk, ExecOptions } from './exec-options.ts'
import { redactedData } from '../transport/redaction.ts'
import type { Attempt } from '../transport/attempt.ts'
import type { ExecResult } from '../wire.ts'
import { errorOf } from '../transport/wire-error.ts'

/** The data of any event of a streamed exec. The name of the event determines which of these fields it has. */
type EventData = { text: string; code: string; message: string; details?: Record<string, unknown> } & ExecResult

/** Reads a streamed exec to its end. It calls a callback for each chunk as it arrives, and awaits it. */
export async function readExecStream(
  response: Response,
  attempt: Attempt,
  { onStdout, onStderr }: Pick<ExecOptions, 'onStdout' | 'onStderr'>,
): Promise<ExecResult> {
  attempt.isFinal = true // not to be retried: callbacks may have received output
  const reader = new EventSourceReader(response)
  try {
    for (let messages; (messages = await reader.read());) {
      for (const { event, data } of messages) {
        attempt.signal.throwIfAborted()
        if (!/^(stdout|stderr|exit|error)$/.test(event ?? '')) continue // an event of a newer server
        const eventData = parseJson<EventData>(response, data, attempt)
        if (event === 'stdout') await awaitCallback(onStdout?.(eventData.text), attempt.signal)
        else if (event === 'stderr') await awaitCallback(onStderr?.(eventData.text), attempt.signal)
        else if (event === 'exit') return eventData
        else if (event === 'error') throw streamedError(response, eventData, attempt)
      }
    }
  } finally {
    await reader.cancel()
  }
  attempt.signal.throwIfAborted()
  const message = `${attempt.call}: the stream ended before the code did; it may have been killed.`
  throw new ConnectionError(message, { code: 'connection_error' })
}

/** The error of a call that fails after the server has sent the status 200. */
function streamedError(response: Response, eventData: EventData, { redact }: Attempt): TheazoError {
  const { code, message, details } = redactedData(eventData, redact)
  const requestId = requestIdOf(response, redact)
  return errorOf(code, message, { requestId, details, status: code === 'timeout' ? 504 : undefined })
}

/** Starts an exec and yields its output. Each callback of the exec waits until the loop has taken the chunk. */
export async function* execChunks(
  start: (callbacks: Required<Pick<ExecOptions, 'onStdout' | 'onStderr' | 'signal'>>) => Promise<ExecResult>,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExecChunk, void, undefined> {
  const aborter = new AbortController()
  const onAbort = (): void => aborter.abort(signal?.reason)
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  // One chunk at a time: the exec reads the next one after the loop has taken this one.
  let pending: ExecChunk | undefined
  let arrived = Promise.withResolvers<void>()
  let taken = Promise.withResolvers<void>()
  const push = (chunk: ExecChunk): Promise<void> => {
    pending = chunk
    arrived.resolve()
    return taken.promise
  }
  const done = start({
    signal: aborter.signal,
    onStdout: (text) => push({ type: 'stdout', text }),
    onStderr: (text) => push({ type: 'stderr', text }),
  })
  done.catch(() => {}) // awaited below, unless the caller leaves the loop
  try {
    for (;;) {
      const result = await Promise.race([done, arrived.promise])
      if (!pending) {
        yield { type: 'exit', result: result as ExecResult } // without a chunk, `done` has won the race
        return
      }
      const chunk = pending
      pending = undefined
      arrived = Promise.withResolvers()
      yield chunk
      taken.resolve()
      taken = Promise.withResolvers()
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    aborter.abort(new Error('The caller left the loop over the output.'))
    taken.resolve()
  }
}
