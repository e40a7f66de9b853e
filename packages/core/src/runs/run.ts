import { abortable } from '../transport/abortable.ts'
import type { AgentEvent } from '../streams/agent-events.ts'
import { batchIterator } from '../streams/batch-iterator.ts'
import { Broadcast, type Cursor } from '../streams/broadcast.ts'
import { StreamError, TheazoError, TimeoutError } from '../errors.ts'
import type { EventStream } from '../streams/event-stream.ts'
import { withApprovals } from './approvals.ts'
import { deliverAll, type RunCallbacks } from './forward.ts'
import { Lifetime } from '../transport/lifetime.ts'
import { retainOwnEvents } from './own-events.ts'
import {
  finalEvent,
  outcomeOf,
  outcomeOfEvent,
  type RunOutcome,
  type RunResult,
  withReplayTimeout,
} from './run-outcome.ts'
import type { RunSource } from './run-source.ts'
import { finishedTask, pollTask } from './task-poll.ts'
import { AgentTasks } from './tasks.ts'
import type { CallOptions } from '../transport/transport-options.ts'
import type { Feature, RunAccepted, Task } from '../wire.ts'

/** The deadline of the call that cancels the task of an aborted run. Nobody waits for it. */
const cancelTimeoutMs = 10_000

/**
 * One run of an agent's own model loop, from its first event to its last.
 *
 * You can iterate it, forward it and await its result any number of times, also concurrently. Each consumer receives
 * every event. The slowest consumer limits the others: while it is 256 events behind, nothing more is read from the
 * socket. A consumer that joins late starts with the oldest of the last 256 events; if older ones were dropped, its first
 * event has `gap`. When the last consumer leaves, the connection is closed. The task continues, and `result()` then polls
 * the server.
 *
 * An abort of `signal` ends all consumers with the signal's reason. It also cancels the task, if the server supports that
 * and has already returned the task's id.
 *
 * @example
 * ```ts
 * const run = agent.run('Summarise the top five papers of this week')
 * for await (const event of run) if (event.type === 'thinking') console.log(event.text)
 * const { output, cost } = await run.result()
 * ```
 */
export class Run implements AsyncIterable<AgentEvent>, AsyncDisposable {
  /** Resolves to the task's id when the server accepts the task, and rejects if it refuses. */
  readonly taskId: Promise<string>
  readonly #source: RunSource
  readonly #life: Lifetime
  readonly #stopListening: () => void
  readonly #events: Broadcast<AgentEvent>
  #stream: EventStream | undefined
  #taskId: string | undefined
  /** The task, if the run had already finished when it was attached: the stream may then have no events. */
  #finished: Task | undefined
  #outcome: RunOutcome | undefined
  /** Set by an abort, a refusal, and `close`. */
  #over: { error?: unknown } | undefined

  constructor(source: RunSource) {
    this.#source = source
    const { signal, timeoutMs } = source.options
    const message = `The run did not end within ${timeoutMs} ms.`
    const timeoutReason = (): TimeoutError => new TimeoutError(message, { code: 'client_timeout' })
    this.#life = new Lifetime({ signal, timeoutMs, timeoutReason })
    this.#stopListening = this.#life.hold()
    this.#events = new Broadcast(
      () => this.#pull(),
      (event) => ({ ...event, gap: true }),
    )
    this.taskId = this.#start()
    // Consumers receive this error. If there are none, it must not become an unhandled rejection.
    this.taskId.catch((error: unknown) => this.#end({ error }))
    this.#life.signal.addEventListener('abort', () => this.#onAbort(), { once: true })
  }

  /**
   * The id of the last event that was read from the server. A loop may be behind it: to continue after a loop was left,
   * use the `eventId` of the loop's last event.
   */
  get lastEventId(): string | undefined {
    return this.#stream?.lastEventId ?? this.#source.options.lastEventId
  }

  /**
   * The events of the run, up to its last. Leaving the loop closes the connection if there is no other consumer.
   *
   * @throws {TheazoError} if the server refuses the run; {@link StreamError} if the stream is lost.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<AgentEvent, void, undefined> {
    const cursor = this.#events.subscribe()
    const leave = (): void => this.#leave(cursor)
    return batchIterator(() => cursor.next(), leave, this.#isOver)
  }

  /**
   * Calls the callbacks for each event, in order, and awaits each call: a slow callback slows the server. An error of a
   * callback ends the forwarding with that error. After {@link close}, and after an abort of `signal`, no callback is
   * called. An abort ends only this call, with the signal's reason; the run and its other consumers continue.
   *
   * @throws {TheazoError} if the run ends without an answer and there is no `onError`; {@link StreamError} if the stream
   *   is lost.
   * @example
   * ```ts
   * await run.forward({ onOutputDelta: ({ text }) => process.stdout.write(text) })
   * ```
   */
  async forward(callbacks: RunCallbacks, { signal }: Pick<CallOptions, 'signal'> = {}): Promise<void> {
    signal?.throwIfAborted()
    const cursor = this.#events.subscribe()
    try {
      const { transport, agentId } = this.#source
      await deliverAll(cursor, withApprovals(callbacks, transport, agentId, signal), this.#isOver, signal)
    } finally {
      this.#leave(cursor)
    }
    if (this.#outcome && 'error' in this.#outcome && !callbacks.onError) throw this.#outcome.error
  }

  /**
   * Waits for the end of the run and returns its final answer. If the stream is lost or closed, it polls the server.
   *
   * @throws {TheazoError} with the code of the run's error: `cancelled`, `terminated`, `timeout`, …
   * @example
   * ```ts
   * const { output, cost } = await run.result()
   * ```
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
   * Cancels the task. The run then ends with the code `cancelled`.
   *
   * @throws {NotSupportedError} on a server without the extension `tasks`.
   * @example
   * ```ts
   * await run.cancel()
   * ```
   */
  async cancel(options: CallOptions = {}): Promise<void> {
    const { transport, agentId } = this.#source
    await new AgentTasks(transport, agentId).cancel(await abortable(this.taskId, options.signal), options)
  }

  /** Closes the connection, and ends all loops and callbacks. The task continues. */
  close(): void {
    this.#end({})
  }

  /** `await using` calls {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  /** Opens the stream, then starts the run, so that no event is missed. */
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
    const { connectTimeoutMs: timeoutMs, idempotencyKey, fresh } = options
    const needs: [Feature, string][] = fresh ? [['conversations', 'agent.run with fresh']] : []
    const path = ['agents', agentId, 'run']
    const request = { method: 'POST', path, body: { task, fresh }, needs, signal, timeoutMs, idempotencyKey } as const
    this.#taskId = (await transport.request<RunAccepted>(request)).taskId
    return this.#taskId
  }

  async #open(): Promise<void> {
    const { transport, agentId, taskId, options } = this.#source
    // Loaded at the first use.
    const { EventStream } = await import('../streams/event-stream.ts')
    if (this.#over) return
    this.#stream = new EventStream(transport, agentId, {
      ...options,
      signal: this.#life.signal,
      timeoutMs: undefined, // already part of the signal
      // A new run ignores the events of other tasks. If the connection breaks before its first event, all events can be
      // replayed.
      startEventId: taskId === undefined ? '0' : undefined,
    })
    try {
      await this.#stream.open()
    } catch (error) {
      if (!this.#isOver()) throw error // close() does not prevent the start of the run
    }
  }

  async #pull(): Promise<AgentEvent[] | undefined> {
    if (this.#taskId === undefined) await this.taskId
    for (;;) {
      if (this.#outcome || this.#over) return undefined
      const batch = await (this.#finished ? this.#replay(this.#finished) : this.#stream?.next())
      if (!batch && this.#over) return undefined
      if (!batch) {
        const message = `Agent ${this.#source.agentId} ended before its run sent its last event.`
        throw new StreamError(message, { code: 'stream_error' })
      }
      const lastEvent = retainOwnEvents(batch, this.#taskId)
      if (lastEvent) {
        this.#outcome = outcomeOfEvent(lastEvent, this.#taskId ?? '', this.#source.transport.redact)
        this.#stream?.close()
      }
      if (batch.length > 0) return batch
      await this.#checkMissedEnd()
    }
  }

  /** After a reconnect: without replay, the run's last event may have been sent while there was no connection. */
  async #checkMissedEnd(): Promise<void> {
    const { transport, agentId } = this.#source
    if (this.#taskId === undefined || transport.features.has('replay')) return
    try {
      this.#finished ??= await finishedTask(transport, agentId, this.#taskId, this.#life.signal)
    } catch (error) {
      if (!TheazoError.isInstance(error) || !error.isRetryable) throw error
    }
  }

  /** The replayed events of a run that is over. If none arrive, its last event is made from the task. */
  async #replay(task: Task): Promise<AgentEvent[]> {
    const { transport, options } = this.#source
    const isReplayed = options.lastEventId !== undefined && transport.features.has('replay')
    const stream = isReplayed ? this.#stream : undefined
    const replayed = stream && (await withReplayTimeout(stream.next(), transport.clock))
    return replayed ?? [finalEvent(task, transport.redact)]
  }

  /** True if no more events may be delivered. @throws the signal's reason after an abort. */
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

  /** Reads events until the outcome is known. A lost stream is ignored: the run itself may continue. */
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
    const isCallerAbort = options.signal?.aborted === true
    if (this.#outcome && !isCallerAbort) return // the run ended before the timeout
    this.#end({ error: this.#life.signal.reason })
    // Cancel the task, so that it does not continue and cost money unseen.
    if (this.#taskId === undefined || this.#outcome || !isCallerAbort || !transport.features.has('tasks')) return
    this.cancel({ timeoutMs: cancelTimeoutMs }).catch(() => {})
  }

  #end(end: { error?: unknown }): void {
    this.#over ??= end
    this.#events.end(end)
    this.#stopListening()
    this.#stream?.close()
  }
}
