import type { ExecResult } from '@theazo/core'
import { type Clock, every } from '../clock.ts'
import { ApiError, asError, ClientGoneError } from '../errors.ts'
import type { OnOutput } from '../services/execs.ts'
import { prefers } from './accepts.ts'
import { answer } from './answer.ts'
import { errorBody, visibleError } from './answer-error.ts'
import type { RequestContext, StreamOutcome } from './environment.ts'
import { isLarge, resultJson } from './exec-result-json.ts'
import { readHeader, setHeader } from './headers.ts'
import { UnreadEvents } from './unread-events.ts'

/** Starts an exec and reports its output. */
export type ExecRun = (signal: AbortSignal, onOutput: OnOutput) => Promise<ExecResult>

const type = 'text/event-stream'
const heartbeatMs = 15_000

/** True if the client asks for a stream of the output. */
export function wantsStream(request: Request, context: RequestContext): boolean {
  return prefers(readHeader(request, context, 'accept'), type, 'application/json')
}

/**
 * Answers an exec with a stream of its output (contract, `exec-stream`). The answer begins with the first output or with
 * the end of the exec. An error before that is answered as in other routes, with its status.
 *
 * Events are encoded when the client reads them. A slow reader needs no copy: the exec retains its output anyway.
 *
 * @param run starts the exec; its signal fires when the client stops reading.
 * @param onEnd called when the output is no longer needed.
 */
export async function answerExecStream(
  request: Request,
  context: RequestContext,
  clock: Clock,
  run: ExecRun,
  onEnd: () => void,
): Promise<Response> {
  const left = new AbortController()
  const begun = Promise.withResolvers<void>()
  const events = new UnreadEvents()
  let isOver = false
  let woken = Promise.withResolvers<void>()
  const wake = (): void => {
    woken.resolve()
    woken = Promise.withResolvers()
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const piece = events.next()
          if (piece !== undefined) return controller.enqueue(Buffer.from(piece))
          if (isOver) {
            onEnd()
            return controller.close()
          }
          await woken.promise
        }
      },
      cancel() {
        left.abort(new ClientGoneError('The client no longer reads the stream.'))
        if (isOver) onEnd()
        wake()
      },
    },
    { highWaterMark: 0 },
  )
  const write = (add: () => void): void => {
    begun.resolve()
    if (!left.signal.aborted) add()
    wake()
  }
  const send = (event: string, json: Iterable<string>): void => write(() => events.add(event, json))
  const stopHeartbeat = every(clock, heartbeatMs, async () => write(() => events.addComment()))

  const signal = AbortSignal.any([request.signal, left.signal])
  const result = run(signal, (stream, text) => write(() => events.addOutput(stream, text)))
  void result.catch(() => {}).finally(stopHeartbeat)
  await Promise.race([begun.promise, result])
  context.streamOutcome = result.then(succeeded, failed).finally(close)
  setHeader(context, 'x-accel-buffering', 'no') // nginx would hold output back
  return answer(context, body, type)

  function succeeded(value: ExecResult): StreamOutcome {
    if (isLarge(value)) {
      send('exit', resultJson(value))
      return { status: 200, body: undefined, error: undefined }
    }
    const json = JSON.stringify(value)
    send('exit', [json])
    return { status: 200, body: json, error: undefined }
  }

  function failed(thrown: unknown): StreamOutcome {
    if (!(thrown instanceof ApiError) && signal.aborted) {
      // The client has left: nobody reads this, and it is not a fault of the server.
      return { status: 499, body: '', error: asError(signal.reason) }
    }
    const error = visibleError(thrown, context)
    const envelope = errorBody(error, context)
    send('error', [JSON.stringify(envelope.error)])
    return { status: error.status, body: JSON.stringify(envelope), error }
  }

  function close(): void {
    isOver = true
    if (left.signal.aborted) onEnd()
    wake()
  }
}
