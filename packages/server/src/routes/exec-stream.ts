import type { ExecResult } from '@theazo/core'
import { type Clock, every } from '../clock.ts'
import { ApiError, ClientGoneError } from '../errors.ts'
import type { OnOutput } from '../services/execs.ts'
import { answer } from './answer.ts'
import { errorBody, toldError } from './answer-error.ts'
import type { Call, Ending } from './environment.ts'
import { readHeader, tellHeader } from './headers.ts'

const type = 'text/event-stream'
const heartbeatMs = 15_000

/** True where the client reads output as it comes. */
export function wantsStream(request: Request, call: Call): boolean {
  return readHeader(request, call, 'accept')?.toLowerCase().includes(type) ?? false
}

/**
 * Answers an exec as a stream of its output (contract, `exec-stream`). It begins with the first output, or with the end;
 * what fails before that is answered as anywhere else, with its status.
 *
 * What waits for a slow reader is bounded by the cap of the output.
 *
 * @param run starts the exec; its signal fires when nobody reads any more.
 */
export async function answerExecStream(
  request: Request,
  call: Call,
  clock: Clock,
  run: (signal: AbortSignal, onOutput: OnOutput) => Promise<ExecResult>,
): Promise<Response> {
  const left = new AbortController()
  const begun = Promise.withResolvers<void>()
  let controller!: ReadableStreamDefaultController<Uint8Array> // `start` below runs inside the constructor
  const body = new ReadableStream<Uint8Array>({
    start: (own) => void (controller = own),
    cancel: () => left.abort(new ClientGoneError('The client does not read the stream any more.')),
  })
  const write = (text: string): void => {
    begun.resolve()
    if (!left.signal.aborted) controller.enqueue(Buffer.from(text))
  }
  const send = (event: string, data: object): void => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  const stopHeartbeat = every(clock, heartbeatMs, async () => write(': \n\n'))

  const signal = AbortSignal.any([request.signal, left.signal])
  const result = run(signal, (stream, text) => send(stream, { text }))
  void result.catch(() => {}).finally(stopHeartbeat)
  await Promise.race([begun.promise, result])
  call.ending = result.then(succeeded, failed).finally(close)
  tellHeader(call, 'x-accel-buffering', 'no') // nginx would hold output back
  return answer(call, body, type)

  function succeeded(value: ExecResult): Ending {
    send('exit', value)
    return { status: 200, body: JSON.stringify(value), error: undefined }
  }

  function failed(thrown: unknown): Ending {
    if (!(thrown instanceof ApiError) && signal.aborted) {
      // Nobody reads this, and it is no fault of ours.
      return { status: 499, body: '', error: new ClientGoneError(String(signal.reason)) }
    }
    const error = toldError(thrown, call)
    const envelope = errorBody(error, call)
    send('error', envelope.error)
    return { status: error.status, body: JSON.stringify(envelope), error }
  }

  function close(): void {
    if (!left.signal.aborted) controller.close()
  }
}
