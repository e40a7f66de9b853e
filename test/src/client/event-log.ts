import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers/promises'

/** One event as the agent's log keeps it. */
export interface LoggedEvent {
  /** Grows by one per agent, from 1. */
  id: number
  /** Undefined: the name stands in the data, or nowhere. */
  event: string | undefined
  /** A string goes out as it is: how a test sends what is no JSON. */
  data: unknown
}

/** How one connection writes its events; what is not said is as the contract has it. */
export interface StreamStyle {
  lineEnd?: '\n' | '\r' | '\r\n'
  hasByteOrderMark?: boolean
  hasIds?: boolean
  /** Honours `Last-Event-ID`; else a stream always starts now. */
  hasReplay?: boolean
  /** Events sent a second time before those that are asked for. */
  repeats?: number
  /** A comment before each event. */
  hasComments?: boolean
  /** Bytes that the client reads at once. */
  chunkBytes?: number
  /** Ends the connection once this many bytes of the body are out: cleanly, by FIN in mid-chunk, by RST, or not at all. */
  cut?: { afterBytes: number; by: 'end' | 'close' | 'reset' | 'stall' }
}

/** What happened to one agent, and the connections that follow it. */
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

/** One connection that follows a log, at the pace of its socket. */
export class LiveStream {
  /** Events handed to the socket. */
  writtenCount = 0
  readonly #log: EventLog
  readonly #response: ServerResponse
  readonly #style: StreamStyle
  #position: number
  #sentBytes = 0
  #isBlocked = false
  #isDone = false
  /** What drips is out. */
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

  /** Writes what there is, until the socket is full. */
  pump(): void {
    for (let logged; !this.#isBlocked && !this.#isDone && (logged = this.#log.events[this.#position]);) {
      this.#position += 1
      this.writtenCount += 1
      this.write(encode(logged, this.#style))
    }
    if (this.#log.isEnded && !this.#isBlocked) this.cut('end')
  }

  /** Puts these bytes on the connection, e.g. a heartbeat. */
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

  /** Ends the connection: cleanly, by FIN in mid-chunk, by RST, or, as far as the other side can tell, not at all. */
  cut(by: 'end' | 'close' | 'reset' | 'stall'): void {
    if (this.#isDone) return
    this.#isDone = true
    void this.#close(by)
  }

  async #close(by: 'end' | 'close' | 'reset' | 'stall'): Promise<void> {
    await this.#out
    const { socket } = this.#response
    if (by === 'end') this.#response.end()
    // Once all that was written before is out.
    if (by === 'close') socket?.write('', () => socket.destroy())
    if (by === 'reset') socket?.write('', () => socket.resetAndDestroy())
  }

  /** A few turns apart: what comes in one turn is one read of the client. */
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
