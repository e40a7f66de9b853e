import { type ListeningTheazo, listenTheazo, type Plan, type ServerOptions } from '@theazo/server'
import assert from 'node:assert/strict'
import type { ErrorEnvelope } from '@theazo/core'
import { expect } from 'vitest'
import { type Answer, ApiCaller } from './api-caller.ts'
import { ApiSchema } from './api-schema.ts'
import { CheckedEventReader } from './checked-event-reader.ts'

/**
 * Sends plain requests to a server with a port, and checks the rules that apply to every answer: its schema in the
 * server's own OpenAPI document, the request id, the extensions, and the headers of the rate limit.
 */
export class CheckedCaller extends ApiCaller {
  readonly schema: ApiSchema

  constructor(url: string, key: string, schema: ApiSchema) {
    super({ baseUrl: url, apiKey: key })
    this.schema = schema
  }

  static async to({ url }: { url: string }, key: string): Promise<CheckedCaller> {
    return new CheckedCaller(url, key, await ApiSchema.of(url))
  }

  /** The same server with another key. */
  with(key: string): CheckedCaller {
    return new CheckedCaller(this.url, key, this.schema)
  }

  override async send(method: string, path: string, body?: string, init: RequestInit = {}): Promise<Answer> {
    const answer = await super.send(method, path, body, init)
    this.#check(method, path, answer)
    return answer
  }

  /** Opens the stream of an agent. The test reads its events. */
  async stream(agentId: string, { query = '', headers = {} } = {}): Promise<CheckedEventReader> {
    const path = `/agents/${agentId}/stream${query}`
    const abort = new AbortController()
    const response = await this.open(path, { headers, signal: abort.signal })
    assert(response.body && response.status === 200, `${path} answered ${response.status}`)
    this.#check('GET', path, { status: response.status, headers: response.headers })
    return new CheckedEventReader(response, response.body, this.schema, () => abort.abort())
  }

  /** Creates a session and returns its id. */
  async session(body: object = {}): Promise<string> {
    const { status, body: session } = await this.post('/sessions', { userId: 'user_1', ...body })
    assert.equal(status, 201)
    return session.id
  }

  /** Creates an agent and returns its id. @param sessionId default: a new session. */
  async agent(body: object = {}, sessionId?: string): Promise<string> {
    const answer = await this.post(`/sessions/${sessionId ?? (await this.session())}/agents`, body)
    assert.deepEqual([answer.status, answer.body.status], [201, 'idle'])
    return answer.body.id
  }

  exec(agentId: string, lang: string, code: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.post(`/agents/${agentId}/exec`, { lang, code }, headers)
  }

  /** Starts a run of the task and returns the task's id. */
  async run(agentId: string, task: string): Promise<string> {
    const { status, body } = await this.post(`/agents/${agentId}/run`, { task })
    assert.deepEqual([status, body.agentId], [202, agentId])
    return body.taskId
  }

  /** Of a stream, only the head is checked. */
  #check(method: string, path: string, { status, headers, body }: Omit<Answer, 'body'> & { body?: unknown }): void {
    const title = `${method} ${path} ${status}`
    const mediaType = (headers.get('content-type') ?? '').split(';')[0] ?? ''
    this.schema.assertAllows({ method, path: path.split('?')[0] ?? '', status, mediaType, body })
    const requestId = headers.get('x-request-id') ?? ''
    assert.match(requestId, /^req_[0-9A-HJKMNP-TV-Z]{26}$/, title)
    // The schema of an error has been checked above.
    if (status >= 400) assert.equal((body as ErrorEnvelope).error.requestId, requestId, title)
    assert.match(headers.get('theazo-features') ?? '', /^[a-z-]+(, [a-z-]+)*$/, title)
    if (status === 401) return
    for (const name of ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']) {
      assert.match(headers.get(name) ?? '', /^\d+$/, `${title} ${name}`)
    }
    const isTest = this.key.startsWith('th_test_')
    assert.equal(headers.get('x-theazo-mode'), isTest ? 'test' : null, title)
  }
}

/** Fails the test unless the answer is an error envelope with this status and code. */
export function expectError(answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, code: answer.body.error?.code }).toEqual({ status, code })
}

/** Fails the test unless the answer is 422 and names exactly these fields. */
export function expectFields(answer: Answer, ...fields: string[]): void {
  expectError(answer, 422, 'unprocessable_entity')
  expect(Object.keys(answer.body.error.details.fields)).toEqual(fields)
}

/** Starts a server on a free port, with a caller for the embedded live key and one for a test key. */
export async function listenWithCallers(
  plan: Plan = 'enterprise',
  options: ServerOptions = {},
): Promise<{ server: ListeningTheazo; live: CheckedCaller; mocked: CheckedCaller }> {
  const server = await listenTheazo({ ...options, port: 0 })
  const live = await CheckedCaller.to(server, server.apiKey)
  return { server, live, mocked: live.with((await server.keys.create({ mode: 'test', plan })).key) }
}
