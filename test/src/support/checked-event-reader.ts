import { createParser } from 'eventsource-parser'
import { expect } from 'vitest'
import type { ApiSchema } from './api-schema.ts'

/** One event, already held against the server's own document. */
export interface CheckedEvent {
  id: number
  event: string
  // Each test says what it expects of the data.
  // oxlint-disable-next-line typescript/no-explicit-any
  data: any
}

/** Reads one connection of a stream. */
export class CheckedEventReader implements AsyncDisposable {
  readonly headers: Headers
  /** Of the last `retry:` line. */
  retryMs: number | undefined
  readonly comments: string[] = []
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #close: () => void
  readonly #ready: CheckedEvent[] = []
  readonly #decoder = new TextDecoder()
  readonly #schema: ApiSchema
  readonly #parser = createParser({
    onEvent: ({ id, event = 'message', data }) => this.#ready.push(this.#checked(id, event, data)),
    onRetry: (ms) => (this.retryMs = ms),
    onComment: (text) => this.comments.push(text),
    onError: (error) => expect.fail(`The stream is malformed: ${error.message}`),
  })

  constructor({ headers }: Response, body: ReadableStream<Uint8Array>, schema: ApiSchema, close: () => void) {
    this.headers = headers
    this.#schema = schema
    this.#reader = body.getReader()
    this.#close = close
  }

  /** Undefined where the server has ended the stream. */
  async next(): Promise<CheckedEvent | undefined> {
    while (this.#ready.length === 0) {
      const { done, value } = await this.#reader.read()
      if (done) return undefined
      this.#parser.feed(this.#decoder.decode(value, { stream: true }))
    }
    return this.#ready.shift()
  }

  /** What comes up to the first event that is wanted, which is the last. */
  async until(isWanted: (event: CheckedEvent) => boolean): Promise<CheckedEvent[]> {
    const events: CheckedEvent[] = []
    for (let event; (event = await this.next());) {
      events.push(event)
      if (isWanted(event)) return events
    }
    return expect.fail(`The stream ended with ${JSON.stringify(events.at(-1))}`)
  }

  /** What comes until the server ends the stream. */
  async toEnd(): Promise<CheckedEvent[]> {
    const events: CheckedEvent[] = []
    for (let event; (event = await this.next());) events.push(event)
    return events
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    await this.#reader.closed.catch(() => {}) // the abort of this very line
  }

  #checked(id: string | undefined, event: string, text: string): CheckedEvent {
    const data: unknown = JSON.parse(text)
    this.#schema.assertIs('AgentEvent', { id, event, data })
    return { id: Number(id), event, data }
  }
}

/** True for the event with which a run ends on the stream: the agent is idle again. */
export function isIdle({ event, data }: CheckedEvent): boolean {
  return event === 'status' && data.status === 'idle'
}
