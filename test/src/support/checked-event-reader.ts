import { createParser } from 'eventsource-parser'
import { expect } from 'vitest'
import type { ApiSchema } from './api-schema.ts'

/** One event that matches the server's OpenAPI document. */
export interface CheckedEvent {
  id: number
  event: string
  // Each test states what it expects of the data.
  // oxlint-disable-next-line typescript/no-explicit-any
  data: any
}

/** Reads one connection of a stream and checks every event against the server's OpenAPI document. */
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

  /** The next event; undefined if the server has ended the stream. */
  async next(): Promise<CheckedEvent | undefined> {
    while (this.#ready.length === 0) {
      const { done, value } = await this.#reader.read()
      if (done) return undefined
      this.#parser.feed(this.#decoder.decode(value, { stream: true }))
    }
    return this.#ready.shift()
  }

  /** The events up to and including the first that matches. */
  async until(isWanted: (event: CheckedEvent) => boolean): Promise<CheckedEvent[]> {
    const events: CheckedEvent[] = []
    for (let event; (event = await this.next());) {
      events.push(event)
      if (isWanted(event)) return events
    }
    return expect.fail(`The stream ended with ${JSON.stringify(events.at(-1))}`)
  }

  /** The events until the server ends the stream. */
  async toEnd(): Promise<CheckedEvent[]> {
    const events: CheckedEvent[] = []
    for (let event; (event = await this.next());) events.push(event)
    return events
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
    await this.#reader.closed.catch(() => {}) // rejects because of the abort above
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
