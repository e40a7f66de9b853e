interface StoredEvent<Message> {
  streamId: string
  message: Message
  /** UTF-16 code units of JSON. */
  size: number
}

/** Bounds of {@link RecentEvents}. */
export interface RecentEventsOptions {
  /** Default 1000. */
  maxEvents?: number | undefined
  /** UTF-16 code units of JSON. Default 2,000,000, which is enough for one large result. */
  maxSize?: number | undefined
}

/**
 * The last events of one MCP session, so that a client whose connection broke can resume a stream. The oldest are dropped
 * first. A client that resumes after a dropped event is refused: otherwise it would miss events without knowing.
 */
export class RecentEvents<Message extends object> {
  readonly #maxEvents: number
  readonly #maxSize: number
  /** By id, in the order of the ids. */
  readonly #events = new Map<string, StoredEvent<Message>>()
  #count = 0
  #size = 0

  constructor({ maxEvents = 1000, maxSize = 2_000_000 }: RecentEventsOptions = {}) {
    this.#maxEvents = maxEvents
    this.#maxSize = maxSize
  }

  async storeEvent(streamId: string, message: Message): Promise<string> {
    this.#count += 1
    const id = String(this.#count)
    const size = JSON.stringify(message).length
    this.#events.set(id, { streamId, message, size })
    this.#size += size
    for (const [oldest, event] of this.#events) {
      if (this.#events.size <= this.#maxEvents && this.#size <= this.#maxSize) break
      if (oldest === id) break // the newest event stays, even if it is too large by itself
      this.#events.delete(oldest)
      this.#size -= event.size
    }
    return id
  }

  async getStreamIdForEventId(eventId: string): Promise<string | undefined> {
    return this.#events.get(eventId)?.streamId
  }

  async replayEventsAfter(
    lastEventId: string,
    { send }: { send: (eventId: string, message: Message) => Promise<void> },
  ): Promise<string> {
    const last = this.#events.get(lastEventId)
    if (!last) throw new Error(`Event ${lastEventId.slice(0, 60)} is not stored any more.`)
    let isAfter = false
    for (const [id, { streamId, message }] of this.#events) {
      // The first event of a stream has no message; it only gives the client an id to resume from.
      if (isAfter && streamId === last.streamId && Object.keys(message).length > 0) await send(id, message)
      isAfter ||= id === lastEventId
    }
    return last.streamId
  }
}
