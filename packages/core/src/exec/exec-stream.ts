import { parseJson, requestIdOf } from '../transport/answers.ts'
import { ConnectionError, type TheazoError } from '../errors.ts'
import { EventSourceReader } from '../streams/event-source.ts'
import { awaitCallback } from './await-callback.ts'
import type { ExecChunk, ExecOptions } from './exec-options.ts'
import { redactedData } from '../transport/redaction.ts'
import type { Attempt } from '../transport/attempt.ts'
import type { ExecResult } from '../wire.ts'
import { errorOf } from '../transport/wire-error.ts'

/** What travels as one event of a streamed exec, by its name: output, the result, an error in its place. */
type Piece = { text: string; code: string; message: string; details?: Record<string, unknown> } & ExecResult

/** Reads a streamed exec to its end and calls back for output as it comes, each call awaited. */
export async function readExecStream(
  response: Response,
  attempt: Attempt,
  { onStdout, onStderr }: Pick<ExecOptions, 'onStdout' | 'onStderr'>,
): Promise<ExecResult> {
  attempt.isFinal = true // the code runs: what it has printed cannot be taken back
  const reader = new EventSourceReader(response)
  try {
    for (let messages; (messages = await reader.read());) {
      for (const { event, data } of messages) {
        attempt.signal.throwIfAborted()
        if (!/^(stdout|stderr|exit|error)$/.test(event ?? '')) continue // of a newer server
        const piece = parseJson<Piece>(response, data, attempt)
        if (event === 'stdout') await awaitCallback(onStdout?.(piece.text), attempt.signal)
        else if (event === 'stderr') await awaitCallback(onStderr?.(piece.text), attempt.signal)
        else if (event === 'exit') return piece
        else if (event === 'error') throw streamedError(response, piece, attempt)
      }
    }
  } finally {
    await reader.cancel()
  }
  attempt.signal.throwIfAborted()
  const message = `${attempt.call}: the stream ended before the code did; it may have been killed.`
  throw new ConnectionError(message, { code: 'connection_error' })
}

/** In place of a status, once the first byte has gone out. */
function streamedError(response: Response, piece: Piece, { redact }: Attempt): TheazoError {
  const { code, message, details } = redactedData(piece, redact)
  const requestId = requestIdOf(response, redact)
  return errorOf(code, message, { requestId, details, status: code === 'timeout' ? 504 : undefined })
}

/** Runs `start`, whose callbacks wait until the loop has taken what they were given. */
export async function* execChunks(
  start: (callbacks: Required<Pick<ExecOptions, 'onStdout' | 'onStderr' | 'signal'>>) => Promise<ExecResult>,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExecChunk, void, undefined> {
  const left = new AbortController()
  const onAbort = (): void => left.abort(signal?.reason)
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  // One piece at a time: the exec reads on when the loop has taken it.
  let offered: ExecChunk | undefined
  let wanted = Promise.withResolvers<void>()
  let offer = Promise.withResolvers<void>()
  const give = (chunk: ExecChunk): Promise<void> => {
    offered = chunk
    offer.resolve()
    return wanted.promise
  }
  const done = start({
    signal: left.signal,
    onStdout: (text) => give({ type: 'stdout', text }),
    onStderr: (text) => give({ type: 'stderr', text }),
  })
  done.catch(() => {}) // it is awaited below, unless the loop was left
  try {
    for (;;) {
      const result = await Promise.race([done, offer.promise])
      if (!offered) {
        yield { type: 'exit', result: result as ExecResult } // nothing was offered: it was the exec that ended
        return
      }
      const chunk = offered
      offered = undefined
      offer = Promise.withResolvers()
      yield chunk
      wanted.resolve()
      wanted = Promise.withResolvers()
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    left.abort(new Error('the loop was left'))
    wanted.resolve()
  }
}
