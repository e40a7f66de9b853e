import { createParser } from 'eventsource-parser'
import type { ApiCaller } from './api-caller.ts'

/** An event as it was received. */
export interface StreamedEvent {
  id: number
  event: string
  // Each test states what it expects of the data.
  // oxlint-disable-next-line typescript/no-explicit-any
  data: any
}

/** A connection to an agent's stream that reads immediately. */
export class AgentStream implements AsyncDisposable {
  readonly events: StreamedEvent[] = []
  readonly comments: string[] = []
  readonly retries: number[] = []
  readonly status: number
  readonly headers: Headers
  /** Resolves when the server or the test has closed the stream. */
  readonly ended: Promise<void>
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  #wake: () => void = () => {}
  #isEnded = false

  private constructor({ status, headers }: Response, body: ReadableStream<Uint8Array>) {
    this.status = status
    this.headers = headers
    this.#reader = body.getReader()
    this.ended = this.#read()
  }

  /** @param lastEventId the stream resumes after this event. */
  static async open(api: ApiCaller, agentId: string, lastEventId?: number): Promise<AgentStream> {
    const headers = lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }
    const response = await api.open(`/agents/${agentId}/stream`, { headers })
    if (!response.body) throw new Error(`the stream has no body: ${response.status}`)
    return new AgentStream(response, response.body)
  }

  /** Resolves with the first event, received already or later, that matches. */
  async first(isMatch: (event: StreamedEvent) => boolean): Promise<StreamedEvent> {
    for (;;) {
      const found = this.events.find(isMatch)
      if (found) return found
      if (this.#isEnded) throw new Error(`the stream ended without the event: ${JSON.stringify(this.events)}`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Resolves with the event that reports this status of the agent. */
  statusEvent(status: string): Promise<StreamedEvent> {
    return this.first(({ event, data }) => event === 'status' && data.status === status)
  }

  async close(): Promise<void> {
    await this.#reader.cancel()
    await this.ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #read(): Promise<void> {
    const parser = createParser({
      onEvent: ({ id, event, data }) =>
        void this.events.push({ id: Number(id), event: event ?? '', data: JSON.parse(data) }),
      onComment: (comment) => void this.comments.push(comment),
      onRetry: (retry) => void this.retries.push(retry),
    })
    const decoder = new TextDecoder()
    try {
      for (let chunk = await this.#reader.read(); !chunk.done; chunk = await this.#reader.read()) {
        parser.feed(decoder.decode(chunk.value, { stream: true }))
        this.#wake()
      }
    } finally {
      this.#isEnded = true
      this.#wake()
    }
  }
}
