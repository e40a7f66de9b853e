import { abortable } from '../transport/abortable.ts'
import type { AgentEvent } from '../streams/agent-events.ts'
import { batchIterator } from '../streams/batch-iterator.ts'
import { Broadcast, type Cursor } from '../streams/broadcast.ts'
import { StreamError, TheazoError, TimeoutError } from '../errors.ts'
import type { EventStream } from '../streams/event-stream.ts'
import { deliver, type RunCallbacks } from './forward.ts'
import { Lifetime } from '../transport/lifetime.ts'
import { finalEvent, outcomeOf, soon, type RunOutcome, type RunResult } from './run-outcome.ts'
import type { RunSource } from './run-source.ts'
import { finishedTask, pollTask } from './task-poll.ts'
import { AgentTasks } from './tasks.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import type { RunAccepted, Task } from '../wire.ts'
import { errorOf } from '../transport/wire-error.ts'

/** For telling the server that an aborted task is to end; nobody waits for it. */
const cancelTimeoutMs = 10_000

/**
 * One run of an agent's own model loop, from its first event to its last.
 *
 * It may be iterated, forwarded and asked for its result any number of times, also at once: each consumer sees every
 * event. The slowest sets the pace: reading stops while it is 256 events behind, up to the socket. One that joins
 * late starts with the oldest of the last 256 events; where there were older ones its first event has `gap`.
 * When the last consumer leaves, the connection is closed; the task goes on, and `result()` then asks the server.
 *
 * An abort of `signal` ends everything with the signal's reason and cancels the task, where the server can; one that
 * comes before the server has named the task cannot.
 *
 * @example
 * ```ts
 * const run = agent.run('Summarise the top five papers of this week')
 * for await (const event of run) if (event.type === 'thinking') console.log(event.text)
 * const { output, cost } = await run.result()
 * ```
 */
export class Run implements AsyncIterable<AgentEvent>, AsyncDisposable {
  /** The task's id, once the server has accepted it; rejects where it refuses. */
  readonly taskId: Promise<string>
  readonly #source: RunSource
  readonly #life: Lifetime
  readonly #stopListening: () => void
  readonly #events: Broadcast<AgentEvent>
  #stream: EventStream | undefined
  #taskId: string | undefined
  /** Of an attached run that had finished before: nothing may come any more. */
  #finished: Task | undefined
  #outcome: RunOutcome | undefined
  /** Set by an abort, a refusal, and by who stops following. */
  #over: { error?: unknown } | undefined

  constructor(source: RunSource) {
    this.#source = source
    const { signal, timeoutMs } = source.options
    const late = `The run did not end within ${timeoutMs} ms.`
    const timeoutReason = (): TimeoutError => new TimeoutError(late, { code: 'client_timeout' })
    this.#life = new Lifetime({ signal, timeoutMs, timeoutReason })
    this.#stopListening = this.#life.hold()
    this.#events = new Broadcast(
      () => this.#pull(),
      (event) => ({ ...event, gap: true }),
    )
    this.taskId = this.#start()
    // Whoever asks for it is told; a run that nobody looks at must not end the process.
    this.taskId.catch((error: unknown) => this.#end({ error }))
    this.#life.signal.addEventListener('abort', () => this.#onAbort(), { once: true })
  }

  /** The id of the last event that was read. Who may have left a loop before it goes on from `eventId` of its own last event. */
  get lastEventId(): string | undefined {
    return this.#stream?.lastEventId ?? this.#source.options.lastEventId
  }

  /**
   * The events, to the run's last. Leaving the loop closes the connection, unless another consumer is left.
   *
   * @throws {TheazoError} the server's refusal of the run; {@link StreamError} where the stream is lost for good.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<AgentEvent, void, undefined> {
    const cursor = this.#events.subscribe()
    const leave = (): void => this.#leave(cursor)
    return batchIterator(() => cursor.next(), leave, this.#isOver)
  }

  /**
   * Calls back for each event: in order, each call awaited, so that a slow callback slows the server. What a callback
   * throws ends the forwarding with that error. Nothing is called after {@link close}.
   *
   * A run that ends without an answer is told to `onError`; without that callback it is thrown.
   */
  async forward(callbacks: RunCallbacks): Promise<void> {
    const cursor = this.#events.subscribe()
    try {
      for (let batch; (batch = await cursor.next());) {
        // By index: an iterator, kept over the awaits, costs as much as the delivery.
        for (let at = 0; at < batch.length && !this.#isOver(); at += 1) {
          const pending = deliver(batch[at] as AgentEvent, callbacks, this.#isOver) // below its length
          if (pending) await pending
        }
      }
    } finally {
      this.#leave(cursor)
    }
    if (this.#outcome && 'error' in this.#outcome && !callbacks.onError) throw this.#outcome.error
  }

  /**
   * The final answer. It waits for the run's end, also where the stream is lost for good or was closed: the server is
   * then asked from time to time.
   *
   * @throws {TheazoError} with the code of the run's error: `cancelled`, `terminated`, `timeout`, …
   */
  async result({ signal }: Pick<CallOptions, 'signal'> = {}): Promise<RunResult> {
    signal?.throwIfAborted()
    const taskId = await abortable(this.taskId, signal)
    const release = this.#life.hold()
    try {
      if (!this.#outcome && !this.#over) await this.#drain(signal)
      if (!this.#outcome) {
        this.#life.signal.throwIfAborted()
        const { transport, agentId } = this.#source
        const either = signal ? AbortSignal.any([signal, this.#life.signal]) : this.#life.signal
        this.#outcome = outcomeOf(await pollTask(transport, agentId, taskId, either), transport.redact)
      }
    } finally {
      release()
    }
    if ('error' in this.#outcome) throw this.#outcome.error
    return this.#outcome.result
  }

  /**
   * Cancels the task; the run then ends with the code `cancelled`.
   *
   * @throws {NotSupportedError} on a server without the extension `tasks`.
   */
  async cancel(options: CallOptions = {}): Promise<void> {
    const { transport, agentId } = this.#source
    await new AgentTasks(transport, agentId).cancel(await abortable(this.taskId, options.signal), options)
  }

  /** Stops following: loops end, nothing is called any more, the connection is closed. The task goes on. */
  close(): void {
    this.#end({})
  }

  /** `await using` stops following. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  /** The stream first, so that no event of the run is missed, then the run. */
  async #start(): Promise<string> {
    const { transport, agentId, task, taskId, options } = this.#source
    const { signal } = this.#life
    signal.throwIfAborted()
    await this.#open()
    if (taskId !== undefined) {
      this.#taskId = taskId
      this.#finished = await finishedTask(transport, agentId, taskId, signal)
      return taskId
    }
    const { connectTimeoutMs: timeoutMs, idempotencyKey } = options
    const path = ['agents', agentId, 'run']
    const request = { method: 'POST', path, body: { task }, signal, timeoutMs, idempotencyKey } as const
    this.#taskId = (await transport.request<RunAccepted>(request)).taskId
    return this.#taskId
  }

  async #open(): Promise<void> {
    const { transport, agentId, taskId, options } = this.#source
    // What reads streams is loaded with the first one.
    const { EventStream } = await import('../streams/event-stream.ts')
    if (this.#over) return
    this.#stream = new EventStream(transport, agentId, {
      ...options,
      signal: this.#life.signal,
      timeoutMs: undefined, // the run's own
      // A new run's events all come after its start: cut before the first, the stream goes on from the log's beginning.
      startEventId: taskId === undefined ? '0' : undefined,
    })
    try {
      await this.#stream.open()
    } catch (error) {
      if (!this.#isOver()) throw error // who stops following does not stop the run from being started
    }
  }

  async #pull(): Promise<AgentEvent[] | undefined> {
    if (this.#taskId === undefined) await this.taskId
    for (;;) {
      if (this.#outcome || this.#over) return undefined
      const batch = await (this.#finished ? this.#replay(this.#finished) : this.#stream?.next())
      if (!batch && this.#over) return undefined
      if (!batch) {
        const message = `Agent ${this.#source.agentId} ended before its run told how.`
        throw new StreamError(message, { code: 'stream_error' })
      }
      const own = this.#own(batch)
      if (own.length > 0) return own
      if (batch.length === 0) await this.#askWhatWasMissed()
    }
  }

  /** The connection was made anew. A server that does not replay may have told the run's end in between. */
  async #askWhatWasMissed(): Promise<void> {
    const { transport, agentId } = this.#source
    if (this.#taskId === undefined || transport.features.has('replay')) return
    try {
      this.#finished ??= await finishedTask(transport, agentId, this.#taskId, this.#life.signal)
    } catch (error) {
      if (!TheazoError.isInstance(error) || !error.isRetryable) throw error
    }
  }

  /** The events of this run, to its last; in the batch itself, most hold no others. */
  #own(batch: AgentEvent[]): AgentEvent[] {
    let count = 0
    for (const event of batch) {
      if (event.taskId !== undefined && event.taskId !== this.#taskId) continue
      batch[count] = event
      count += 1
      if (event.type !== 'output' && event.type !== 'error') continue
      this.#settle(event)
      break
    }
    batch.length = count
    return batch
  }

  /** What the server replays of a run that is over; where its last event does not come, the task tells it. */
  async #replay(task: Task): Promise<AgentEvent[]> {
    const { transport, options } = this.#source
    const isReplayed = options.lastEventId !== undefined && transport.features.has('replay')
    const stream = isReplayed ? this.#stream : undefined
    return (stream && (await soon(stream.next(), transport.clock))) ?? [finalEvent(task, transport.redact)]
  }

  #settle(event: AgentEvent): void {
    const taskId = this.#taskId ?? ''
    if (event.type === 'output') this.#outcome = { result: { taskId, output: event.text, cost: event.cost } }
    if (event.type === 'error') {
      const { code, message, isResumable } = event
      const details = { taskId, resumable: isResumable }
      this.#outcome = { error: errorOf(code, this.#source.transport.redact(message), { details }) }
    }
    this.#stream?.close()
  }

  /** True where nothing more may be told. @throws the reason, where that is an abort. */
  readonly #isOver = (): boolean => {
    if (!this.#over) return false
    if ('error' in this.#over) throw this.#over.error
    return true
  }

  #leave(cursor: Cursor<AgentEvent>): void {
    cursor.close()
    if (this.#events.consumerCount > 0) return
    if (this.#outcome) this.#stopListening()
    else this.#end({})
  }

  /** Reads to the end for the result's sake; a lost stream is not the end of the run. */
  async #drain(signal: AbortSignal | undefined): Promise<void> {
    const cursor = this.#events.subscribe()
    const onAbort = (): void => cursor.close()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      while (!this.#outcome && (await cursor.next())) continue
    } catch (error) {
      if (this.#life.signal.aborted || !TheazoError.isInstance(error)) throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#leave(cursor)
    }
    signal?.throwIfAborted()
  }

  #onAbort(): void {
    const { transport, options } = this.#source
    const isCaller = options.signal?.aborted === true
    if (this.#outcome && !isCaller) return // a run that has ended in time
    this.#end({ error: this.#life.signal.reason })
    // Who aborts wants it to end: it must not go on, nor be paid for, unseen.
    if (this.#taskId === undefined || this.#outcome || !isCaller || !transport.features.has('tasks')) return
    this.cancel({ timeoutMs: cancelTimeoutMs }).catch(() => {})
  }

  #end(end: { error?: unknown }): void {
    this.#over ??= end
    this.#events.end(end)
    this.#stopListening()
    this.#stream?.close()
  }
}
