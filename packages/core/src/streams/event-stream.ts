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
/** The wait before a second reconnect where the server names none (`retry:`). */
const defaultRetryMs = 500
/** A connection that lived this long on heartbeats did its work, events or not. */
const usefulLifeMs = 10_000

/**
 * Follows one agent's events over any number of connections: in order, each once, with `gap` where the server could not
 * replay. It is pulled: what nobody asks for stays in the socket.
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
  /** The same as a number: -1 before the first event, NaN for ids that are none, with which it compares as neither. */
  #lastNumber = -1
  /** Of the last block, with data or without. */
  #blockId: string | undefined
  /** The next event is the first after a cut, or after the event that the caller knew last. */
  #isResumed: boolean
  #wasOpen = false
  #connectedAt = 0
  #idleTimer: ReturnType<typeof setTimeout> | undefined
  /** When the read under way began; undefined while a consumer has its turn. */
  #readingSince: number | undefined
  #sawHeartbeat = false
  #sawEnd = false
  #retryMs = defaultRetryMs
  #fruitless = 0
  /** Milliseconds that the server has asked to wait before the next attempt. */
  #askedMs = 0
  #isOver = false
  #failure: { reason: unknown } | undefined

  constructor(transport: Transport, agentId: string, options: FollowOptions) {
    this.#transport = transport
    this.#agentPath = ['agents', agentId]
    this.#options = options
    if (options.lastEventId !== undefined) this.#setLastEventId(options.lastEventId)
    this.#isResumed = options.lastEventId !== undefined
    const { signal, timeoutMs } = options
    const late = `The stream of ${agentId} did not end within ${timeoutMs} ms.`
    const timeoutReason = (): TimeoutError => new TimeoutError(late, { code: 'client_timeout' })
    this.#life = new Lifetime({ signal, timeoutMs, timeoutReason })
    this.#stopListening = this.#life.hold()
    const ended = this.#life.signal
    if (ended.aborted) this.#fail(ended.reason)
    else ended.addEventListener('abort', () => this.#fail(ended.reason), { once: true })
  }

  /** Where a later stream would go on. */
  get lastEventId(): string | undefined {
    return this.#lastEventId
  }

  /**
   * Connects. What happens from then on is not missed.
   *
   * @throws {TheazoError} a refusal of the server, or {@link ConnectionError}.
   */
  async open(): Promise<void> {
    this.#throwFailure()
    if (!this.#isOver) await this.#connect()
  }

  /**
   * The next events; none where the connection was made anew; undefined when the agent has ended, or this stream was
   * closed.
   *
   * @throws {StreamError} where the stream is lost for good.
   */
  async next(): Promise<AgentEvent[] | undefined> {
    while (!this.#isOver) {
      if (!this.#reader) {
        // Nothing has come yet; but who follows may want to ask what was missed.
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
      const batch: (EventSourceMessage | AgentEvent)[] = messages ?? [] // in place: to grow a second array is felt
      let count = 0
      for (const message of messages ?? []) {
        const event = this.#take(message)
        if (event) batch[count++] = event
      }
      batch.length = count
      // A block without data has an id that counts all the same (WHATWG HTML, 9.2.6).
      const id = this.#blockId
      if (id !== this.#lastEventId && id !== undefined && !(eventNumber(id) <= this.#lastNumber))
        this.#setLastEventId(id)
      if (!messages) await this.#lose()
      if (count > 0) return batch as AgentEvent[] // no message is left in it
    }
    this.#throwFailure()
    return undefined
  }

  /** Ends the stream and its connection; a read under way ends. */
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
    const isCut = this.#wasOpen && this.#transport.features.has('replay')
    const lastEventId = this.#lastEventId ?? (isCut ? startEventId : undefined)
    // The connection outlives the call that makes it: from then on it is this stream's to close.
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
    this.#askedMs = 0
    return (this.#reader = reader)
  }

  #readerOf(response: Response): EventSourceReader {
    return new EventSourceReader(response, {
      onId: (id) => (this.#blockId = id),
      onRetry: (ms) => (this.#retryMs = ms),
      onComment: () => this.#heartbeat(),
    })
  }

  /** Undefined where the attempt failed and another may follow. */
  async #reconnect(): Promise<EventSourceReader | undefined> {
    try {
      if (this.#fruitless > 1) {
        const { clock } = this.#transport
        const delayMs = backoffMs(this.#fruitless - 2, clock.random(), this.#retryMs)
        await clock.sleep(Math.max(delayMs, this.#askedMs), this.#ended.signal)
      }
      return await this.#connect()
    } catch (error) {
      if (this.#isOver) return undefined
      if (!this.#wasOpen || !isTransient(error)) throw error
      this.#askedMs = Math.min(error.retryAfterMs ?? 0, maxRetryAfterMs)
      this.#countFruitless(error)
      return undefined
    }
  }

  get #idleMs(): number {
    return this.#options.idleTimeoutMs ?? (this.#sawHeartbeat ? heartbeatIdleMs : silentIdleMs)
  }

  /** Drops a connection that has been silent for too long. One timer looks from time to time: one a read would cost more than the read. */
  #watch(ms: number): ReturnType<typeof setTimeout> {
    return timer(() => {
      const silentMs = this.#readingSince === undefined ? 0 : performance.now() - this.#readingSince
      this.#idleTimer = silentMs < this.#idleMs ? this.#watch(this.#idleMs - silentMs) : undefined
      if (!this.#idleTimer) void this.#reader?.cancel()
    }, ms)
  }

  /** The connection is at its end: the agent's, or a cut. */
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

  /** The stream of an agent that has ended ends; asking tells it from a cut. */
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
    const message = `The event stream of ${this.#agentPath[1]} is lost: ${this.#fruitless} connections in a row brought nothing.`
    this.#fail(new StreamError(message, { code: 'stream_error', cause }))
  }

  /** A server that cannot replay may begin to count anew; a repeat is then better than a loss. */
  #isRestart(number: number): boolean {
    return this.#isResumed && number < this.#lastNumber && !this.#transport.features.has('replay')
  }

  /** From the first one on silence is noticed sooner: the timer is armed anew with the next read. */
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

  /** Undefined for what was seen before, and for a heartbeat. */
  #take(message: EventSourceMessage): AgentEvent | undefined {
    const { id } = message
    let isGap = this.#isResumed
    if (id !== undefined) {
      const number = eventNumber(id)
      // The server's numbers grow by one (contract, Events): what is not above the last was seen before.
      if (number <= this.#lastNumber && !this.#isRestart(number)) return undefined
      if (isGap) {
        const replays = this.#transport.features.has('replay')
        if (Number.isNaN(number) && replays && id === this.#lastEventId) return undefined // the last one again
        // An agent's first event has the number 1, or 0.
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
    // An event without an id may be the same one again, from a server that greets each connection with it.
    if (id !== undefined || this.#transport.clock.now() - this.#connectedAt > 1000) this.#fruitless = 0
    if (event.type === 'status' && event.status === 'terminated') this.#sawEnd = true
    return event
  }
}
