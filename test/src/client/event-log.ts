import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers/promises'

/** One event in the agent's log. */
export interface LoggedEvent {
  /** Grows by one per agent, from 1. */
  id: number
  /** Undefined if the name is in the data or absent. */
  event: string | undefined
  /** A string is sent unchanged, so that a test can send invalid JSON. */
  data: unknown
}

/** The format of one connection's events. Defaults are those of the contract. */
export interface StreamStyle {
  lineEnd?: '\n' | '\r' | '\r\n'
  hasByteOrderMark?: boolean
  hasIds?: boolean
  /** Replays from `Last-Event-ID`; otherwise a stream starts with new events. */
  hasReplay?: boolean
  /** Number of events that are sent a second time before the requested ones. */
  repeats?: number
  /** A comment before each event. */
  hasComments?: boolean
  /** Bytes that the client receives in one read. */
  chunkBytes?: number
  /** Ends the connection after this many bytes of the body: cleanly, by FIN inside a chunk, by RST, or by silence. */
  cut?: { afterBytes: number; by: 'end' | 'close' | 'reset' | 'stall' }
}

/** The events of one agent, and the connections that follow them. */
export class EventLog {
  readonly events: LoggedEvent[] = []
  readonly streams = new Set<LiveStream>()
  #isEnded = false

  append(event: string | undefined, data: unknown): void {
    this.events.push({ id: this.events.length + 1, event, data })
    for (const stream of this.streams) stream.pump()
  }

  /** The agent has terminated: streams end after their last event. */
  end(): void {
    this.#isEnded = true
    for (const stream of this.streams) stream.pump()
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  open(response: ServerResponse, lastEventId: string | undefined, style: StreamStyle): LiveStream {
    const { hasReplay = true, repeats = 0 } = style
    const now = this.#isEnded ? 0 : this.events.length
    const from = hasReplay && lastEventId !== undefined ? Math.max(0, Number(lastEventId) - repeats) : now
    const stream = new LiveStream(this, response, from, style)
    this.streams.add(stream)
    response.once('close', () => this.streams.delete(stream))
    stream.start()
    return stream
  }
}

/** One connection that sends a log at the pace of its socket. */
export class LiveStream {
  /** Number of events written to the socket. */
  writtenCount = 0
  readonly #log: EventLog
  readonly #response: ServerResponse
  readonly #style: StreamStyle
  #position: number
  #sentBytes = 0
  #isBlocked = false
  #isDone = false
  /** Resolves when all split writes are sent. */
  #out: Promise<void> = Promise.resolve()

  constructor(log: EventLog, response: ServerResponse, position: number, style: StreamStyle) {
    this.#log = log
    this.#response = response
    this.#position = position
    this.#style = style
    response.on('drain', () => {
      this.#isBlocked = false
      this.pump()
    })
  }

  start(): void {
    const { hasByteOrderMark, hasIds = true, lineEnd = '\n' } = this.#style
    this.#response.writeHead(200, { 'content-type': 'text/event-stream' })
    this.#response.flushHeaders()
    this.write('') // a cut after 0 bytes is due
    if (hasByteOrderMark) this.write('\uFEFF')
    if (hasIds) this.write(`retry: 1000${lineEnd}${lineEnd}`)
    this.pump()
  }

  /** Writes the available events until the socket is full. */
  pump(): void {
    for (let logged; !this.#isBlocked && !this.#isDone && (logged = this.#log.events[this.#position]);) {
      this.#position += 1
      this.writtenCount += 1
      this.write(encode(logged, this.#style))
    }
    if (this.#log.isEnded && !this.#isBlocked) this.cut('end')
  }

  /** Writes these bytes, e.g. a heartbeat. */
  write(text: string): void {
    const { cut, chunkBytes } = this.#style
    let bytes = Buffer.from(text)
    const room = cut ? cut.afterBytes - this.#sentBytes : Number.POSITIVE_INFINITY
    if (this.#isDone) return
    const isLast = bytes.length >= room
    if (isLast) bytes = bytes.subarray(0, room)
    this.#sentBytes += bytes.length
    if (chunkBytes === undefined) this.#isBlocked = !this.#response.write(bytes)
    else this.#out = this.#out.then(() => this.#drip(bytes, chunkBytes))
    if (isLast && cut) this.cut(cut.by)
  }

  /** Ends the connection: cleanly, by FIN inside a chunk, by RST, or by silence without closing it. */
  cut(by: 'end' | 'close' | 'reset' | 'stall'): void {
    if (this.#isDone) return
    this.#isDone = true
    void this.#close(by)
  }

  async #close(by: 'end' | 'close' | 'reset' | 'stall'): Promise<void> {
    await this.#out
    const { socket } = this.#response
    if (by === 'end') this.#response.end()
    // After all earlier bytes are sent.
    if (by === 'close') socket?.write('', () => socket.destroy())
    if (by === 'reset') socket?.write('', () => socket.resetAndDestroy())
  }

  /** Waits some turns of the event loop between writes: bytes of one turn are one read of the client. */
  async #drip(bytes: Buffer, chunkBytes: number): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#response.destroyed; at += chunkBytes) {
      this.#response.write(bytes.subarray(at, at + chunkBytes))
      for (let turn = 0; turn < 3; turn += 1) await setImmediate()
    }
  }
}

function encode({ id, event, data }: LoggedEvent, style: StreamStyle): string {
  const { lineEnd = '\n', hasIds = true, hasComments } = style
  const lines = [
    ...(hasComments ? [': keep-alive', ''] : []),
    ...(hasIds ? [`id: ${id}`] : []),
    ...(event === undefined ? [] : [`event: ${event}`]),
    `data: ${typeof data === 'string' ? data : JSON.stringify(data)}`,
    '',
    '',
  ]
  return lines.join(lineEnd)
}
