import type { EventSourceMessage } from 'eventsource-parser'
import { type AgentEvent, EventNormalizer } from './agent-events.ts'
import { BodyFault, invalidResponse, isEventStream } from '../transport/responses.ts'
import { StreamError, TimeoutError } from '../errors.ts'
import { eventNumber } from './event-number.ts'
import { EventSourceReader } from './event-source.ts'
import type { FollowOptions } from './event-stream-options.ts'
import { backoffMs, isTransient, maxRetryAfterMs } from '../transport/retry.ts'
import { Lifetime, timer } from '../transport/lifetime.ts'
import type { Transport } from '../transport/transport.ts'
import type { Agent as WireAgent } from '../wire.ts'

const heartbeatIdleMs = 45_000
const silentIdleMs = 300_000
const defaultMaxReconnects = 8
/** The delay before the second reconnect, if the server does not send one (`retry:`). */
const defaultRetryMs = 500
/** A connection with heartbeats that lived this long counts as useful, even without events. */
const usefulLifeMs = 10_000

/**
 * Follows the events of one agent across reconnects: in order, each once, with `gap` after events that the server could
 * not replay. It reads only on demand, so that a slow consumer slows the server.
 */
export class EventStream {
  readonly #transport: Transport
  readonly #agentPath: readonly string[]
  readonly #options: FollowOptions
  readonly #normalizer = new EventNormalizer()
  readonly #ended = new AbortController()
  readonly #life: Lifetime
  readonly #stopListening: () => void
  #reader: EventSourceReader | undefined
  #lastEventId: string | undefined
  /** The last event id as a number: -1 before the first event, NaN if it is not a number (all comparisons are false). */
  #lastNumber = -1
  /** The id of the last block, even if the block has no data. */
  #blockId: string | undefined
  /** True if the next event is the first after a reconnect, or after the caller's `lastEventId`. */
  #isResumed: boolean
  #wasOpen = false
  #connectedAt = 0
  #idleTimer: ReturnType<typeof setTimeout> | undefined
  /** The start of the pending read; undefined while the consumer works. */
  #readingSince: number | undefined
  #sawHeartbeat = false
  #sawEnd = false
  #retryMs = defaultRetryMs
  /** Consecutive connections and attempts without an event. */
  #fruitless = 0
  /** Milliseconds that the server asked the client to wait before the next attempt. */
  #retryAfterMs = 0
  #isOver = false
  #failure: { reason: unknown } | undefined

  constructor(transport: Transport, agentId: string, options: FollowOptions) {
    this.#transport = transport
    this.#agentPath = ['agents', agentId]
    this.#options = options
    if (options.lastEventId !== undefined) this.#setLastEventId(options.lastEventId)
    this.#isResumed = options.lastEventId !== undefined
    const { signal, timeoutMs } = options
    const message = `The stream of ${agentId} did not end within ${timeoutMs} ms.`
    const timeoutReason = (): TimeoutError => new TimeoutError(message, { code: 'client_timeout' })
    this.#life = new Lifetime({ signal, timeoutMs, timeoutReason })
    this.#stopListening = this.#life.hold()
    const ended = this.#life.signal
    if (ended.aborted) this.#fail(ended.reason)
    else ended.addEventListener('abort', () => this.#fail(ended.reason), { once: true })
  }

  /** The id after which a later stream would continue. */
  get lastEventId(): string | undefined {
    return this.#lastEventId
  }

  /**
   * Connects. No later event is missed.
   *
   * @throws {TheazoError} if the server refuses the connection; {@link ConnectionError} if it cannot be reached.
   */
  async open(): Promise<void> {
    this.#throwFailure()
    if (!this.#isOver) await this.#connect()
  }

  /**
   * Waits for the next events. An empty array means a reconnect; undefined means that the agent has ended or this stream
   * was closed.
   *
   * @throws {StreamError} if the stream is lost.
   */
  async next(): Promise<AgentEvent[] | undefined> {
    while (!this.#isOver) {
      if (!this.#reader) {
        // A run checks after each reconnect whether it missed its last event.
        if (await this.#reconnect()) return []
        continue
      }
      let messages: EventSourceMessage[] | undefined
      this.#readingSince = performance.now()
      this.#idleTimer ??= this.#watch(this.#idleMs)
      try {
        messages = await this.#reader.read()
      } catch (error) {
        if (!(error instanceof BodyFault)) throw error
      }
      this.#readingSince = undefined
      const batch: (EventSourceMessage | AgentEvent)[] = messages ?? [] // converted in place: a second array costs time
      let count = 0
      for (const message of messages ?? []) {
        const event = this.#take(message)
        if (event) batch[count++] = event
      }
      batch.length = count
      // The id of a block without data counts too (WHATWG HTML, 9.2.6).
      const id = this.#blockId
      if (id !== this.#lastEventId && id !== undefined && !(eventNumber(id) <= this.#lastNumber))
        this.#setLastEventId(id)
      if (!messages) await this.#lose()
      if (count > 0) return batch as AgentEvent[] // every message was replaced by its event
    }
    this.#throwFailure()
    return undefined
  }

  /** Ends the stream and its connection. A pending read ends. */
  close(): void {
    this.#isOver = true
    this.#stopListening()
    this.#ended.abort(this.#failure ? this.#failure.reason : new Error('closed'))
    this.#dropReader()
  }

  #fail(reason: unknown): void {
    this.#failure ??= { reason }
    this.close()
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.reason
  }

  #dropReader(): void {
    clearTimeout(this.#idleTimer)
    this.#idleTimer = undefined
    void this.#reader?.cancel()
    this.#reader = undefined
  }

  async #connect(): Promise<EventSourceReader> {
    const { connectTimeoutMs: timeoutMs, startEventId } = this.#options
    const isReplaying = this.#wasOpen && this.#transport.features.has('replay')
    const lastEventId = this.#lastEventId ?? (isReplaying ? startEventId : undefined)
    // The connection outlives this call. This stream must close it.
    const reader = await this.#transport.call(
      {
        method: 'GET',
        path: [...this.#agentPath, 'stream'],
        headers: { accept: 'text/event-stream', ...(lastEventId && { 'last-event-id': lastEventId }) },
        signal: this.#ended.signal,
        timeoutMs,
      },
      async (response, attempt) => {
        if (isEventStream(response)) return this.#readerOf(response)
        await response.body?.cancel()
        const type = response.headers.get('content-type') ?? 'no content type'
        const message = `${attempt.call} answered ${response.status} with ${attempt.redact(type)}, not with an event stream.`
        throw invalidResponse(response, message, attempt)
      },
    )
    if (this.#isOver) {
      void reader.cancel()
      this.#throwFailure()
    }
    this.#wasOpen = true
    this.#sawHeartbeat = false
    this.#connectedAt = this.#transport.clock.now()
    this.#retryAfterMs = 0
    return (this.#reader = reader)
  }

  #readerOf(response: Response): EventSourceReader {
    return new EventSourceReader(response, {
      onId: (id) => (this.#blockId = id),
      onRetry: (ms) => (this.#retryMs = ms),
      onComment: () => this.#heartbeat(),
    })
  }

  /** Undefined if the attempt failed and another one may follow. */
  async #reconnect(): Promise<EventSourceReader | undefined> {
    try {
      if (this.#fruitless > 1) {
        const { clock } = this.#transport
        const delayMs = backoffMs(this.#fruitless - 2, clock.random(), this.#retryMs)
        await clock.sleep(Math.max(delayMs, this.#retryAfterMs), this.#ended.signal)
      }
      return await this.#connect()
    } catch (error) {
      if (this.#isOver) return undefined
      if (!this.#wasOpen || !isTransient(error)) throw error
      this.#retryAfterMs = Math.min(error.retryAfterMs ?? 0, maxRetryAfterMs)
      this.#countFruitless(error)
      return undefined
    }
  }

  get #idleMs(): number {
    return this.#options.idleTimeoutMs ?? (this.#sawHeartbeat ? heartbeatIdleMs : silentIdleMs)
  }

  /** Drops a connection that is silent for too long. One timer checks periodically: a timer per read would be too slow. */
  #watch(ms: number): ReturnType<typeof setTimeout> {
    return timer(() => {
      const silentMs = this.#readingSince === undefined ? 0 : performance.now() - this.#readingSince
      this.#idleTimer = silentMs < this.#idleMs ? this.#watch(this.#idleMs - silentMs) : undefined
      if (!this.#idleTimer) void this.#reader?.cancel()
    }, ms)
  }

  /** The connection has ended: because the agent ended, or because it broke. */
  async #lose(): Promise<void> {
    this.#dropReader()
    this.#throwFailure()
    if (this.#isOver) return
    if (this.#sawEnd) return this.close()
    this.#isResumed = true
    const livedMs = this.#transport.clock.now() - this.#connectedAt
    if (this.#sawHeartbeat && livedMs > usefulLifeMs) this.#fruitless = 0
    this.#countFruitless(undefined)
    if (this.#fruitless > 1 && (await this.#agentHasEnded())) this.close()
  }

  /** The server closes the stream of an agent that has ended. The agent's status distinguishes that from a broken stream. */
  async #agentHasEnded(): Promise<boolean> {
    try {
      const path = this.#agentPath
      const agent = await this.#transport.request<WireAgent>({ method: 'GET', path, signal: this.#ended.signal })
      return agent.status === 'terminated' || agent.status === 'failed'
    } catch (error) {
      if (this.#isOver || isTransient(error)) return false
      throw error
    }
  }

  #countFruitless(cause: unknown): void {
    this.#fruitless += 1
    if (this.#fruitless <= (this.#options.maxReconnects ?? defaultMaxReconnects)) return
    const message = `The event stream of ${this.#agentPath[1]} is lost: ${this.#fruitless} consecutive connections had no event.`
    this.#fail(new StreamError(message, { code: 'stream_error', cause }))
  }

  /** A server without replay may restart its numbers. A repeated event is then better than a lost one. */
  #isRestart(number: number): boolean {
    return this.#isResumed && number < this.#lastNumber && !this.#transport.features.has('replay')
  }

  /** After the first heartbeat the idle timeout is shorter. The next read starts the timer again. */
  #heartbeat(): void {
    if (this.#sawHeartbeat) return
    this.#sawHeartbeat = true
    clearTimeout(this.#idleTimer)
    this.#idleTimer = undefined
  }

  #setLastEventId(id: string): void {
    this.#lastEventId = id
    this.#lastNumber = eventNumber(id)
  }

  /** The event of a message; undefined for a repeated event and for a heartbeat. */
  #take(message: EventSourceMessage): AgentEvent | undefined {
    const { id } = message
    let isGap = this.#isResumed
    if (id !== undefined) {
      const number = eventNumber(id)
      // The server's numbers grow by one (contract, Events). A number that is not above the last is a repetition.
      if (number <= this.#lastNumber && !this.#isRestart(number)) return undefined
      if (isGap) {
        const replays = this.#transport.features.has('replay')
        if (Number.isNaN(number) && replays && id === this.#lastEventId) return undefined // a repetition
        // The first event of an agent has the number 1 or 0.
        isGap = Number.isNaN(number)
          ? !replays
          : number < this.#lastNumber || number > Math.max(1, this.#lastNumber + 1)
      }
      this.#lastEventId = id
      this.#lastNumber = number
    }
    const event = this.#normalizer.read(message)
    if (!event) return void this.#heartbeat()
    if (isGap) event.gap = true
    this.#isResumed = false
    // An event without an id may be a greeting that the server sends on each connection.
    if (id !== undefined || this.#transport.clock.now() - this.#connectedAt > 1000) this.#fruitless = 0
    if (event.type === 'status' && event.status === 'terminated') this.#sawEnd = true
    return event
  }
}
