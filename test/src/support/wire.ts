import { type ListeningTheazo, listenTheazo, type Plan } from '@theazo/server'
import assert from 'node:assert/strict'
import type { ErrorEnvelope } from '@theazo/core'
import { expect } from 'vitest'
import { ApiSchema } from './api-schema.ts'
import { EventReader } from './wire-events.ts'

/** An answer, already held against the server's own document. */
export interface Answer {
  status: number
  headers: Headers
  // Each test says what it expects of the body.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any
}

type HeaderFields = Record<string, string>

/**
 * The API as a caller in any language sees it: plain fetch with one key, not our client. What holds for every answer is
 * asserted at each: its schema, the request id, the features, and where the key stands with its rate limit.
 */
export class Wire {
  readonly url: string
  readonly key: string
  readonly schema: ApiSchema

  constructor(url: string, key: string, schema: ApiSchema) {
    this.url = url
    this.key = key
    this.schema = schema
  }

  static async to({ url }: { url: string }, key: string): Promise<Wire> {
    return new Wire(url, key, await ApiSchema.of(url))
  }

  /** The same server with another key. */
  with(key: string): Wire {
    return new Wire(this.url, key, this.schema)
  }

  get = (path: string, headers: HeaderFields = {}): Promise<Answer> => this.send('GET', path, undefined, { headers })

  post = (path: string, body?: unknown, headers: HeaderFields = {}): Promise<Answer> =>
    this.send('POST', path, JSON.stringify(body), { headers })

  patch = (path: string, body: unknown): Promise<Answer> => this.send('PATCH', path, JSON.stringify(body))

  /** @param body goes out as it is. */
  async send(method: string, path: string, body?: string, init: RequestInit = {}): Promise<Answer> {
    const response = await this.#fetch(method, path, { ...init, ...(body !== undefined && { body }) })
    const text = await response.text()
    const answer: Answer = { status: response.status, headers: response.headers, body: JSON.parse(text) }
    this.#assertUsual(method, path, response, answer.body)
    return answer
  }

  /** Opens the stream of an agent; its last event is `await`ed by who reads. */
  async stream(agentId: string, { query = '', headers = {} } = {}): Promise<EventReader> {
    const path = `/agents/${agentId}/stream${query}`
    const abort = new AbortController()
    const response = await this.#fetch('GET', path, { headers, signal: abort.signal })
    assert(response.body && response.status === 200, `${path} answered ${response.status}`)
    this.#assertUsual('GET', path, response)
    return new EventReader(response, response.body, this.schema, () => abort.abort())
  }

  /** A session of its own. */
  async session(body: object = {}): Promise<string> {
    const { status, body: session } = await this.post('/sessions', { userId: 'user_1', ...body })
    assert.equal(status, 201)
    return session.id
  }

  /** An agent in a session of its own, or of the given one. */
  async agent(body: object = {}, sessionId?: string): Promise<string> {
    const answer = await this.post(`/sessions/${sessionId ?? (await this.session())}/agents`, body)
    assert.deepEqual([answer.status, answer.body.status], [201, 'idle'])
    return answer.body.id
  }

  exec = (agentId: string, lang: string, code: string, headers: HeaderFields = {}): Promise<Answer> =>
    this.post(`/agents/${agentId}/exec`, { lang, code }, headers)

  /** Gives the agent a task, and answers the task's id. */
  async run(agentId: string, task: string): Promise<string> {
    const { status, body } = await this.post(`/agents/${agentId}/run`, { task })
    assert.deepEqual([status, body.agentId], [202, agentId])
    return body.taskId
  }

  #fetch(method: string, path: string, init: RequestInit): Promise<Response> {
    const headers = { authorization: `Bearer ${this.key}`, ...init.headers }
    return fetch(this.url + path, { ...init, method, headers })
  }

  #assertUsual(method: string, path: string, { status, headers }: Response, body?: unknown): void {
    const title = `${method} ${path} ${status}`
    const mediaType = (headers.get('content-type') ?? '').split(';')[0] ?? ''
    this.schema.assertAllows({ method, path: path.split('?')[0] ?? '', status, mediaType, body })
    const requestId = headers.get('x-request-id') ?? ''
    assert.match(requestId, /^req_[0-9A-HJKMNP-TV-Z]{26}$/, title)
    if (status >= 400) assert.equal((body as ErrorEnvelope).error.requestId, requestId, title) // as the schema has it
    assert.match(headers.get('theazo-features') ?? '', /^[a-z-]+(, [a-z-]+)*$/, title)
    if (status === 401) return
    for (const name of ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset']) {
      assert.match(headers.get(name) ?? '', /^\d+$/, `${title} ${name}`)
    }
    const isTest = this.key.startsWith('th_test_')
    assert.equal(headers.get('x-theazo-mode'), isTest ? 'test' : null, title)
  }
}

/** The error envelope with this code and its status. */
export function expectError(answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, code: answer.body.error?.code }).toEqual({ status, code })
}

/** 422 that names these fields. */
export function expectFields(answer: Answer, ...fields: string[]): void {
  expectError(answer, 422, 'unprocessable_entity')
  expect(Object.keys(answer.body.error.details.fields)).toEqual(fields)
}

/** A server with a port, and who calls it: with the embedded live key, and with a test key. */
export async function openWires(
  plan: Plan = 'enterprise',
): Promise<{ server: ListeningTheazo; live: Wire; mocked: Wire }> {
  const server = await listenTheazo({ port: 0 })
  const live = await Wire.to(server, server.apiKey)
  return { server, live, mocked: live.with((await server.keys.create({ mode: 'test', plan })).key) }
}
