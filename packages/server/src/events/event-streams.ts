import { type Clock, every } from '../clock.ts'
import type { IdleClocks } from '../services/idle-clocks.ts'
import { encode, type StreamEvent } from './event-hub.ts'
import type { EventLog } from './event-log.ts'

const shutDown = 'the server is shutting down'
const heartbeatMs = 15_000
/** Maximum bytes that wait for a slow reader, in addition to the socket's buffer; above it the connection is closed. */
const maxBufferedBytes = 1024 * 1024
/** How long a reader may take for the rest of a closed stream, before its connection is dropped. */
const lastReadMs = 30_000

/** The start of a stream. */
export interface StreamStart {
  /** The stream sends events after this number. */
  after: number
  /** True if the agent is terminated: the stream ends after the stored events. */
  isEnded: boolean
}

/** Every open stream of this server (contract, Events). */
export class EventStreams {
  readonly #log: EventLog
  readonly #clock: Clock
  readonly #idleClocks: IdleClocks
  readonly #open = new Set<EventStream>()
  readonly #stopHeartbeat: () => Promise<void>
  #isClosed = false

  constructor(log: EventLog, clock: Clock, idleClocks: IdleClocks) {
    this.#log = log
    this.#clock = clock
    this.#idleClocks = idleClocks
    this.#stopHeartbeat = every(clock, heartbeatMs, async () => {
      for (const stream of this.#open) stream.comment('')
    })
  }

  /** Number of open streams. */
  get count(): number {
    return this.#open.size
  }

  /** Opens a stream. @param start called after the stream has begun to listen, so that no event is lost between. */
  async open(agentId: string, start: () => Promise<StreamStart>): Promise<ReadableStream<Uint8Array>> {
    const use = this.#idleClocks.use(agentId)
    const stream = new EventStream(this.#log, this.#clock, agentId, () => {
      this.#open.delete(stream)
      use[Symbol.dispose]()
    })
    this.#open.add(stream)
    try {
      const begun = await start()
      use.accept()
      void stream.begin(begun)
      if (this.#isClosed) stream.close(shutDown)
      return stream.body
    } catch (error) {
      stream.close()
      throw error
    }
  }

  /** Ends all streams; clients reconnect to the next server. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#stopHeartbeat()
    for (const stream of this.#open) stream.close(shutDown)
  }
}

/**
 * One connection. It sends stored events until it has caught up, and then published events, in the order of their numbers.
 * After a gap in the numbers it reads from the store again.
 */
class EventStream {
  readonly body: ReadableStream<Uint8Array>
  readonly #log: EventLog
  readonly #clock: Clock
  readonly #agentId: string
  readonly #onClosed: () => void
  readonly #stopListening: () => void
  #controller!: ReadableStreamDefaultController<Uint8Array> // `start` below runs inside the constructor
  /** The number of the last sent event. */
  #sent = Number.POSITIVE_INFINITY
  /** The highest published number. */
  #published = 0
  #isCatchingUp = true
  #isClosed = false
  /** Ends the wait for room in the buffer. */
  #wake: () => void = () => {}

  constructor(log: EventLog, clock: Clock, agentId: string, onClosed: () => void) {
    this.#log = log
    this.#clock = clock
    this.#agentId = agentId
    this.#onClosed = onClosed
    this.#stopListening = log.hub.listen(agentId, (event) => this.#take(event))
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => this.#wake(),
        cancel: () => this.#end(),
      },
      { highWaterMark: maxBufferedBytes, size: (chunk) => chunk?.byteLength ?? 0 },
    )
  }

  async begin({ after, isEnded }: StreamStart): Promise<void> {
    this.#sent = after
    this.#controller.enqueue(Buffer.from('retry: 1000\n\n'))
    await this.#catchUp()
    if (isEnded) this.close()
  }

  /** Sends a comment, but not while catching up: a comment must not make a slow reader look active. */
  comment(text: string): void {
    if (!this.#isClosed && !this.#isCatchingUp) this.#send(Buffer.from(`: ${text}\n\n`))
  }

  close(reason?: string): void {
    if (this.#isClosed) return
    if (reason !== undefined) this.#controller.enqueue(Buffer.from(`: ${reason}\n\n`))
    this.#controller.close()
    this.#end()
    // A reader that never reads the rest must not keep the memory and the socket.
    this.#clock.after(lastReadMs, () => this.#controller.error(new Error('an event stream was not read to its end')))
  }

  /** Sends stored events at the reader's speed: there may be far more than the buffer can contain. */
  async #catchUp(): Promise<void> {
    this.#isCatchingUp = true
    try {
      for (let hasMore = true; hasMore && !this.#isClosed;) {
        const published = this.#published
        const rows = await this.#log.after(this.#agentId, this.#sent)
        for (const row of rows) {
          const event = encode(row)
          await this.#waitForRoom(event.bytes)
          if (this.#isClosed) return
          this.#forward(event)
        }
        // Published events that are no longer stored will never arrive.
        if (rows.length === 0) this.#sent = Math.max(this.#sent, published)
        hasMore = rows.length > 0 || this.#sent < this.#published
      }
      this.#isCatchingUp = false
    } catch (error) {
      if (this.#isClosed) return
      this.#controller.error(error)
      this.#end()
    }
  }

  #take(event: StreamEvent): void {
    this.#published = Math.max(this.#published, event.number)
    if (this.#isCatchingUp || event.number <= this.#sent) return
    if (event.number === this.#sent + 1) this.#forward(event)
    else void this.#catchUp()
  }

  #forward({ number, bytes, isLast }: StreamEvent): void {
    this.#sent = number
    this.#send(bytes)
    if (isLast) this.close()
  }

  #send(bytes: Uint8Array): void {
    if (this.#hasRoom(bytes)) this.#controller.enqueue(bytes)
    else this.close('too slow: connect again with Last-Event-ID')
  }

  /** True if the bytes fit. An event larger than the whole buffer fits if the buffer is empty. */
  #hasRoom(bytes: Uint8Array): boolean {
    return (this.#controller.desiredSize ?? 0) >= Math.min(bytes.length, maxBufferedBytes)
  }

  /** Waits until the reader has made room. Closes the stream if the reader reads nothing for too long. */
  async #waitForRoom(bytes: Uint8Array): Promise<void> {
    while (!this.#isClosed && !this.#hasRoom(bytes)) {
      const woken = Promise.withResolvers<boolean>()
      this.#wake = () => woken.resolve(true)
      const stopWaiting = this.#clock.after(lastReadMs, () => woken.resolve(false))
      const isWoken = await woken.promise
      stopWaiting()
      if (!isWoken) this.close('too slow: connect again with Last-Event-ID')
    }
  }

  #end(): void {
    this.#isClosed = true
    this.#stopListening()
    this.#wake()
    this.#onClosed()
  }
}
