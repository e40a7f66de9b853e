import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { BodyFault } from '../transport/responses.ts'
import { StreamError } from '../errors.ts'

/** Bytes without the end of a message; more is not buffered. The API's largest are outputs of 10 MiB. */
const maxPendingBytes = 32 * 1024 * 1024

/** What an event stream holds beside its messages. */
export interface EventSourceCallbacks {
  /** The last event id, also of a block without data. */
  onId?: (id: string) => void
  /** Milliseconds the server asks to wait before a reconnect. */
  onRetry?: (ms: number) => void
  /** A comment line: heartbeats are such. */
  onComment?: () => void
}

/** Reads an event stream chunk by chunk (WHATWG HTML, 9.2): nothing is read that nobody asked for. */
export class EventSourceReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true }) // the parser drops the one that may stand first
  readonly #parser: ReturnType<typeof createParser>
  #messages: EventSourceMessage[] = []
  /** Since the last message: the parser's own limit costs a check a line. */
  #pendingBytes = 0

  constructor(response: Response, callbacks: EventSourceCallbacks = {}) {
    // A body is absent only where a constructed Response has none: an empty stream then.
    this.#reader = (response.body ?? new Blob([]).stream()).getReader()
    // Only kept here: splitting a whole chunk first and parsing what its messages hold after is faster than in turns.
    this.#parser = createParser({ ...callbacks, onEvent: (message) => void this.#messages.push(message) })
  }

  /**
   * Reads one chunk: the messages that it completed; undefined at the end of the stream.
   *
   * @throws {BodyFault} where the connection broke; {@link StreamError} where a message is too large to hold.
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

  /** Lets the connection go; a read under way ends. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {}) // broken already
  }
}
