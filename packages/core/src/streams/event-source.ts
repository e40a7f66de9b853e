import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { BodyFault } from '../transport/responses.ts'
import { StreamError } from '../errors.ts'

/** The cap on buffered bytes of an incomplete message. The API's largest messages are outputs of 10 MiB. */
const maxPendingBytes = 32 * 1024 * 1024

/** Callbacks for the fields of an event stream that are not part of a message. */
export interface EventSourceCallbacks {
  /** Called for each event id, also in a block without data. */
  onId?: (id: string) => void
  /** Called with the milliseconds that the server asks the client to wait before a reconnect. */
  onRetry?: (ms: number) => void
  /** Called for each comment line. Heartbeats are comments. */
  onComment?: () => void
}

/** Reads an event stream chunk by chunk (WHATWG HTML, 9.2), and only on demand. */
export class EventSourceReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true }) // the parser removes a leading BOM
  readonly #parser: ReturnType<typeof createParser>
  #messages: EventSourceMessage[] = []
  /** Bytes since the last message. The parser's own limit would cost a check for each line. */
  #pendingBytes = 0

  constructor(response: Response, callbacks: EventSourceCallbacks = {}) {
    // Only a Response that was constructed without a body has none. It becomes an empty stream.
    this.#reader = (response.body ?? new Blob([]).stream()).getReader()
    // Messages are collected first and their data is parsed later: that is faster than to alternate.
    this.#parser = createParser({ ...callbacks, onEvent: (message) => void this.#messages.push(message) })
  }

  /**
   * Reads one chunk and returns the messages that it completes; undefined at the end of the stream.
   *
   * @throws {BodyFault} if the connection breaks; {@link StreamError} if a message is too large to buffer.
   */
  read(): Promise<EventSourceMessage[] | undefined> {
    return this.#reader.read().then(this.#take, (cause: unknown) => {
      throw new BodyFault('the stream broke off', { cause })
    })
  }

  readonly #take = ({ done, value }: ReadableStreamReadResult<Uint8Array>): EventSourceMessage[] | undefined => {
    if (done) return undefined
    this.#parser.feed(this.#decoder.decode(value, { stream: true }))
    const messages = this.#messages
    this.#messages = []
    this.#pendingBytes = messages.length > 0 ? 0 : this.#pendingBytes + value.length
    if (this.#pendingBytes <= maxPendingBytes) return messages
    throw new StreamError('A message of the stream is larger than 32 MiB.', { code: 'stream_error' })
  }

  /** Closes the connection. A pending read ends. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {}) // the connection is already broken
  }
}
