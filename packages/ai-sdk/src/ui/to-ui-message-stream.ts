import { type AgentEvent, type Run, TheazoError } from '@theazo/core'
import { ChunkQueue } from './chunk-queue.ts'
import { failureText, type RunFailure } from './failure-text.ts'
import { RunChunks } from './run-chunks.ts'
import type { TheazoUIMessage, TheazoUIMessageChunk as Chunk } from './ui-message.ts'

/** Options of {@link toUIMessageStream}. */
export interface ToUIMessageStreamOptions {
  /** The id of the new message. Default: the client makes one. */
  messageId?: string | undefined
  /** The message that the stream continues, from `resumePoint`. The stream then starts no new message. */
  message?: TheazoUIMessage | undefined
  /** Send the thoughts of the remote agent. Default true. */
  sendReasoning?: boolean | undefined
  /** Send the tool calls of the remote agent. Default true. */
  sendTools?: boolean | undefined
  /** Ends the stream with an `abort` chunk, when the server has answered the cancel of the task. */
  abortSignal?: AbortSignal | undefined
  /**
   * Cancel the task if the consumer cancels the stream, or `abortSignal` fires. Default true. If the server does not cancel
   * it, its status in the message stays, and `resumePoint` finds it.
   */
  cancelsTask?: boolean | undefined
  /**
   * Returns the text that the user sees if the run fails, or a call of the remote agent. Default: a text for the code, which
   * quotes nothing, because the original may name hosts, paths and secrets.
   */
  onError?: ((failure: RunFailure) => string) | undefined
}

/** The deadline of the call that cancels a task. */
const cancelTimeoutMs = 10_000
/** The number of chunks that are made ahead of the consumer. Events of one network packet then need one read. */
const readAhead = 32

/**
 * A run as a UI message stream for `createUIMessageStreamResponse`, or for the `merge` of `createUIMessageStream`.
 *
 * It sends the status, thoughts, tool calls, answer and cost of a run as parts of one {@link TheazoUIMessage}. It reads
 * events only as fast as the consumer, up to the socket of the browser. If the consumer cancels the stream, it closes the
 * connection and cancels the task.
 *
 * AI SDK 7 exports a function of the same name for `streamText`: import one of them under another name.
 *
 * @example
 * ```ts
 * import { toUIMessageStream } from '@theazo/ai-sdk'
 * import type { Agent } from '@theazo/core'
 * import { createUIMessageStreamResponse } from 'ai'
 *
 * export function answer(request: Request, agent: Agent): Response {
 *   const stream = toUIMessageStream(agent.run('Summarise report.csv'), { abortSignal: request.signal })
 *   return createUIMessageStreamResponse({ stream })
 * }
 * ```
 */
export function toUIMessageStream(run: Run, options: ToUIMessageStreamOptions = {}): ReadableStream<Chunk> {
  const bridge = new Bridge(run, options)
  return new ReadableStream<Chunk>(
    {
      pull: (controller) => bridge.pull(controller),
      cancel: () => bridge.cancel(),
    },
    { highWaterMark: 0 }, // nothing is read before the consumer asks
  )
}

/** One run and one stream: it reads events while the consumer asks for chunks. */
class Bridge {
  readonly #run: Run
  readonly #options: ToUIMessageStreamOptions
  readonly #errorText: (failure: RunFailure) => string
  #chunks: RunChunks | undefined
  #queue: ChunkQueue | undefined
  /** Fires when nothing more is to be read. */
  readonly #left = new AbortController()
  #abort: { reason: unknown } | undefined
  /** Resolves when the consumer asks for a chunk, and at the end. */
  #wanted = Promise.withResolvers<void>()
  /** The number of chunks that may be sent before the consumer asks again. */
  #room = 0
  #isStarted = false
  /** True when the server has cancelled the task. */
  #cancelled: Promise<boolean> | undefined
  readonly #onAbort = (): void => {
    this.#abort = { reason: this.#options.abortSignal?.reason }
    this.#leave()
  }

  constructor(run: Run, options: ToUIMessageStreamOptions) {
    this.#run = run
    this.#options = options
    this.#errorText = (failure) => {
      try {
        return (options.onError ?? failureText)(failure)
      } catch {
        return failureText(failure) // an error of the callback must not leave the message open
      }
    }
    const { abortSignal } = options
    if (abortSignal?.aborted) this.#onAbort()
    else abortSignal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Called when the consumer waits for a chunk and there is none. */
  pull(controller: ReadableStreamDefaultController<Chunk>): void {
    this.#room = readAhead
    this.#wanted.resolve()
    this.#wanted = Promise.withResolvers()
    if (this.#isStarted) return
    this.#isStarted = true
    this.#queue = new ChunkQueue(controller)
    void this.#send(this.#queue)
  }

  cancel(): void {
    this.#abort = undefined // nobody reads the last chunks
    this.#queue?.drop()
    this.#options.abortSignal?.removeEventListener('abort', this.#onAbort)
    this.#leave()
  }

  /** Sends everything, from the first chunk to the last. It never rejects: errors become chunks. */
  async #send(queue: ChunkQueue): Promise<void> {
    const enqueue = (chunks: readonly Chunk[]): void => {
      this.#room -= queue.add(chunks)
    }
    let failure: { error: unknown } | undefined
    try {
      const chunks = await this.#start()
      enqueue(chunks.start())
      const onEvent = (event: AgentEvent): Promise<void> | undefined => {
        enqueue(chunks.of(event))
        return this.#room > 0 ? undefined : this.#wanted.promise
      }
      // Its own error is an event too.
      await this.#run.forward({ onEvent, onError: () => {} }, { signal: this.#left.signal })
    } catch (error) {
      if (!this.#left.signal.aborted) failure = { error }
    }
    if (this.#isUnread) return
    this.#options.abortSignal?.removeEventListener('abort', this.#onAbort)
    if (!this.#chunks?.isEnded) {
      const last = await this.#lastChunks(failure)
      if (this.#isUnread) return
      enqueue(last)
    }
    queue.close()
  }

  /** True after the consumer has cancelled the stream. */
  get #isUnread(): boolean {
    return this.#left.signal.aborted && !this.#abort
  }

  /** Waits until the server has accepted the task. It rejects if nobody waits any more. */
  async #start(): Promise<RunChunks> {
    const { signal } = this.#left
    const left = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    left.catch(() => {}) // the race may be over
    signal.throwIfAborted()
    const taskId = await Promise.race([this.#run.taskId, left])
    const { messageId, message, sendReasoning = true, sendTools = true } = this.#options
    const errorText = this.#errorText
    this.#chunks = new RunChunks({ taskId, messageId, message, sendReasoning, sendTools, errorText })
    return this.#chunks
  }

  async #lastChunks(failure: { error: unknown } | undefined): Promise<readonly Chunk[]> {
    const error = failure?.error
    // An error that is not of the client is the reason of the run's own signal.
    const abort = this.#abort ?? (failure && !TheazoError.isInstance(error) ? { reason: error } : undefined)
    if (abort) {
      if (!this.#chunks) return unstarted(this.#options, abortChunk(abort.reason))
      const { cancelsTask = true } = this.#options
      return this.#chunks.aborted(reasonText(abort.reason), cancelsTask && (await this.#cancelTask()))
    }
    const text = this.#errorText(
      TheazoError.isInstance(error) ? error : { code: 'stream_error', message: 'The events ended.' },
    )
    return this.#chunks?.lost(text) ?? unstarted(this.#options, { type: 'error', errorText: text })
  }

  /** Closes the connection and cancels the task, unless the run is over. */
  #leave(): void {
    if (this.#left.signal.aborted) return
    this.#left.abort(new Error('The stream was left.'))
    this.#wanted.resolve()
    const { cancelsTask = true } = this.#options
    // A run that no consumer has read yet would keep its connection.
    void this.#run[Symbol.asyncIterator]().return?.()
    if (cancelsTask && !this.#chunks?.isEnded) void this.#cancelTask()
  }

  #cancelTask(): Promise<boolean> {
    this.#cancelled ??= this.#run.cancel({ timeoutMs: cancelTimeoutMs }).then(
      () => true,
      () => false,
    )
    return this.#cancelled
  }
}

/** The chunks of a run that the server did not accept, or that was aborted before. */
function unstarted({ message, messageId }: ToUIMessageStreamOptions, last: Chunk): Chunk[] {
  const start: Chunk[] = message ? [] : [{ type: 'start', ...(messageId !== undefined && { messageId }) }]
  return [...start, last, ...(last.type === 'error' ? [{ type: 'finish', finishReason: 'error' } as const] : [])]
}

function abortChunk(reason: unknown): Chunk {
  const text = reasonText(reason)
  return { type: 'abort', ...(text !== undefined && { reason: text }) }
}

function reasonText(reason: unknown): string | undefined {
  if (reason instanceof Error) return reason.message
  return typeof reason === 'string' ? reason : undefined
}
