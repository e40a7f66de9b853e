import assert from 'node:assert/strict'
import type { ExecResult } from '@theazo/core'
import { createLocalTheazo, listenTheazo, type ServerOptions } from '@theazo/server'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { ApiCaller, type CallerOptions } from '../support/api-caller.ts'

/** An event of a streamed exec. */
export interface ExecEvent {
  event: string
  // Each test says what it expects of the data.
  // oxlint-disable-next-line typescript/no-explicit-any
  data: any
}

type HeaderFields = Record<string, string>

/** Runs Bash in its own agent, with raw access to the streams. */
export class ExecStreamClient implements AsyncDisposable {
  #options: CallerOptions
  readonly #sessionId: string
  readonly #agentId: string
  readonly #close: () => Promise<void>

  private constructor(options: CallerOptions, sessionId: string, agentId: string, close: () => Promise<void>) {
    this.#options = options
    this.#sessionId = sessionId
    this.#agentId = agentId
    this.#close = close
  }

  static async open(options: CallerOptions, close = async (): Promise<void> => {}): Promise<ExecStreamClient> {
    const api = new ApiCaller(options)
    const session = await api.post('/sessions', { userId: 'streams' })
    const agent = await api.post(`/sessions/${session.body.id}/agents`)
    assert.equal(agent.status, 201)
    return new ExecStreamClient(options, session.body.id, agent.body.id, close)
  }

  /** Opens an agent on a new server, which is disposed with it. */
  static async openNew(isInProcess: boolean, options: ServerOptions): Promise<ExecStreamClient> {
    const server = isInProcess ? await createLocalTheazo(options) : await listenTheazo({ ...options, port: 0 })
    const baseUrl = 'url' in server ? server.url : server.baseUrl
    return await ExecStreamClient.open({ ...server, baseUrl }, async () => await server[Symbol.asyncDispose]())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close()
  }

  /** Continues with the server at another URL. */
  moveTo(baseUrl: string): void {
    this.#options = { ...this.#options, baseUrl }
  }

  /** Requests a stream, unless the headers accept another type. */
  post(
    code: string,
    headers: HeaderFields = {},
    more: object = {},
    agentId: string = this.#agentId,
    signal?: AbortSignal,
  ): Promise<Response> {
    return new ApiCaller(this.#options).open(`/agents/${agentId}/exec`, {
      method: 'POST',
      headers: { accept: 'text/event-stream', ...headers },
      body: JSON.stringify({ lang: 'bash', code, ...more }),
      ...(signal && { signal }),
    })
  }

  async begin(code: string, headers: HeaderFields, signal?: AbortSignal, more: object = {}): Promise<ExecStreamReader> {
    const response = await this.post(code, headers, more, this.#agentId, signal)
    assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'text/event-stream'])
    return new ExecStreamReader(response)
  }

  async all(code: string, headers: HeaderFields, more: object = {}): Promise<ExecEvent[]> {
    return await (await this.begin(code, headers, undefined, more)).rest()
  }

  /** Runs code without an idempotency key and without a stream. */
  async exec(code: string): Promise<ExecResult> {
    const response = await this.post(code, { accept: 'application/json' })
    assert.equal(response.status, 200)
    return (await response.json()) as ExecResult
  }

  /** The reason of the 409 for this request. */
  async reasonOf(code: string, headers: HeaderFields): Promise<string> {
    const response = await this.post(code, headers)
    // oxlint-disable-next-line typescript/no-explicit-any -- the envelope of an error
    const { error } = (await response.json()) as any
    assert.deepEqual([response.status, error?.code], [409, 'conflict'])
    return error.details.reason
  }

  /** Number of runs of code that appends to the file `runs`. */
  async runs(): Promise<number> {
    return Number((await this.exec('wc -l < runs')).stdout)
  }

  /** Ends code that waits for the file `go`. */
  async endCode(): Promise<void> {
    await this.exec('touch go')
  }

  async limit(limits: object): Promise<void> {
    assert.equal((await new ApiCaller(this.#options).patch(`/sessions/${this.#sessionId}`, { limits })).status, 200)
  }

  async terminate(): Promise<void> {
    assert.equal((await new ApiCaller(this.#options).post(`/agents/${this.#agentId}/terminate`)).status, 200)
  }
}

/** Reads one stream at the pace of the test. */
export class ExecStreamReader {
  /** A reference is needed: fetch cancels the unread body of a response that is garbage-collected. */
  readonly #response: Response
  #events: ReadableStreamDefaultReader<{ event?: string | undefined; data: string }> | undefined

  constructor(response: Response) {
    this.#response = response
  }

  get #body(): NonNullable<Response['body']> {
    assert(this.#response.body)
    return this.#response.body
  }

  /** The next event; undefined at the end. */
  async next(): Promise<ExecEvent | undefined> {
    this.#events ??= this.#body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())
      .getReader()
    const { done, value } = await this.#events.read()
    return done ? undefined : { event: value.event ?? 'message', data: JSON.parse(value.data) }
  }

  async rest(): Promise<ExecEvent[]> {
    const events: ExecEvent[] = []
    for (let event = await this.next(); event; event = await this.next()) events.push(event)
    return events
  }

  async cancel(): Promise<void> {
    await (this.#events ?? this.#body).cancel()
  }
}
