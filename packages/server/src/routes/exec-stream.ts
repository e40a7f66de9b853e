import type { ExecResult } from '@theazo/core'
import { type Clock, every } from '../clock.ts'
import { ApiError, ClientGoneError } from '../errors.ts'
import type { OnOutput } from '../services/execs.ts'
import { prefers } from './accepts.ts'
import { answer } from './answer.ts'
import { errorBody, toldError } from './answer-error.ts'
import type { Call, Ending } from './environment.ts'
import { isLarge, resultJson } from './exec-result-json.ts'
import { readHeader, tellHeader } from './headers.ts'
import { UnreadEvents } from './unread-events.ts'

/** Starts an exec whose output is followed. */
export type ExecRun = (signal: AbortSignal, onOutput: OnOutput) => Promise<ExecResult>

const type = 'text/event-stream'
const heartbeatMs = 15_000

/** True where the client reads output as it comes. */
export function wantsStream(request: Request, call: Call): boolean {
  return prefers(readHeader(request, call, 'accept'), type, 'application/json')
}

/**
 * Answers an exec as a stream of its output (contract, `exec-stream`). It begins with the first output, or with the end;
 * what fails before that is answered as anywhere else, with its status.
 *
 * Events are made as the client reads them: what waits for a slow reader is the output that the exec has kept anyway.
 *
 * @param run starts the exec; its signal fires when nobody reads any more.
 * @param onEnd is called once nothing of the output is needed any more.
 */
export async function answerExecStream(
  request: Request,
  call: Call,
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
        left.abort(new ClientGoneError('The client does not read the stream any more.'))
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
  call.ending = result.then(succeeded, failed).finally(close)
  tellHeader(call, 'x-accel-buffering', 'no') // nginx would hold output back
  return answer(call, body, type)

  function succeeded(value: ExecResult): Ending {
    if (isLarge(value)) {
      send('exit', resultJson(value))
      return { status: 200, body: undefined, error: undefined }
    }
    const json = JSON.stringify(value)
    send('exit', [json])
    return { status: 200, body: json, error: undefined }
  }

  function failed(thrown: unknown): Ending {
    if (!(thrown instanceof ApiError) && signal.aborted) {
      // Nobody reads this, and it is no fault of ours.
      return { status: 499, body: '', error: new ClientGoneError(String(signal.reason)) }
    }
    const error = toldError(thrown, call)
    const envelope = errorBody(error, call)
    send('error', [JSON.stringify(envelope.error)])
    return { status: error.status, body: JSON.stringify(envelope), error }
  }

  function close(): void {
    isOver = true
    if (left.signal.aborted) onEnd()
    wake()
  }
}
