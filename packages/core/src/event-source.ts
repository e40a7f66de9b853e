import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { BodyFault } from './answers.ts'
import { StreamError } from './errors.ts'

/** Bytes without the end of a message; more is not buffered. The API's largest are outputs of 10 MiB. */
const maxPendingBytes = 32 * 1024 * 1024

/** What an event stream holds beside its messages. */
export interface EventSourceCallbacks {
  onMessage: (message: EventSourceMessage) => void
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
  /** Since the last message: the parser's own limit costs a check a line. */
  #pendingBytes = 0

  constructor(response: Response, { onMessage, onId, onRetry, onComment }: EventSourceCallbacks) {
    // A body is absent only where a constructed Response has none: an empty stream then.
    this.#reader = (response.body ?? new Blob([]).stream()).getReader()
    this.#parser = createParser({
      onId,
      onRetry,
      onComment,
      onEvent: (message) => {
        this.#pendingBytes = 0
        onMessage(message)
      },
    })
  }

  /**
   * Reads one chunk and tells what it completed; false at the end of the stream.
   *
   * @throws {BodyFault} where the connection broke; {@link StreamError} where a message is too large to hold.
   */
  read(): Promise<boolean> {
    return this.#reader.read().then(this.#take, (cause: unknown) => {
      throw new BodyFault('the stream broke off', { cause })
    })
  }

  readonly #take = ({ done, value }: ReadableStreamReadResult<Uint8Array>): boolean => {
    if (done) return false
    this.#pendingBytes += value.length
    this.#parser.feed(this.#decoder.decode(value, { stream: true }))
    if (this.#pendingBytes <= maxPendingBytes) return true
    throw new StreamError('A message of the stream is larger than 32 MiB.', { code: 'stream_error' })
  }

  /** Lets the connection go; a read under way ends. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {}) // broken already
  }
}
