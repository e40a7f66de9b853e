// Any request over a real port gets a documented answer or a closed connection, and the server continues to work.
// The routes and their bodies come from the server's OpenAPI document, so new routes are fuzzed automatically.
// THEAZO_SOAK=1 sends more requests; THEAZO_SEED=… repeats a run.
// The message of each assertion names the generated request.
/* oxlint-disable vitest/valid-expect */
import { tmpdir } from 'node:os'
import * as fc from 'fast-check'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openapiRoutes, type Route, sampleOf } from './openapi-routes.ts'
import { type RawAnswer, sendRaw } from './raw-http.ts'
import { type FuzzRequest, keyPlaceholder, requestsOf } from './request-arbitraries.ts'
import { root } from '../support/server-process.ts'
import { isSoak, reportSoak } from '../support/soak.ts'
import { metricOf } from '../support/metrics.ts'
import { ApiCaller } from '../support/api-caller.ts'

const seed = Number(process.env['THEAZO_SEED'] ?? (isSoak ? Date.now() % 2 ** 31 : 4020))
let nearlyValid = 0
const statuses = new Map<number, number>()
const tally = (): string =>
  [...statuses]
    .toSorted(([a], [b]) => a - b)
    .map(([status, count]) => `${status}: ${count}`)
    .join(', ')
const runs = isSoak ? 12_000 : 2000

const codeByStatus: Record<number, string> = {
  401: 'unauthorized',
  402: 'session_limit_exceeded',
  403: 'forbidden',
  404: 'not_found',
  405: 'not_found',
  409: 'conflict',
  422: 'unprocessable_entity',
}

let server: ListeningTheazo
let port: number
let routes: Route[]
let key: string
const log: string[] = []
/** Ids that replace the placeholders of requests. They are renewed from time to time, because requests end agents and sessions. */
let ids: Record<string, string>
let foreign: { key: string; sessionId: string; agentId: string }

beforeAll(async () => {
  process.stdout.write(`api-fuzz: THEAZO_SEED=${seed}\n`)
  server = await listenTheazo({ port: 0, log: { write: (line) => void log.push(line) } })
  port = Number(new URL(server.url).port)
  routes = await openapiRoutes(server.url, fetch)
  key = (await server.keys.create({ mode: 'test', plan: 'enterprise', project: 'fuzzed' })).key
  const other = (await server.keys.create({ mode: 'test', plan: 'enterprise', project: 'other' })).key
  foreign = { key: other, ...(await createRows(other)) }
  await renew()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  reportSoak('fuzz', [
    ['seed', String(seed)],
    ['nearly valid requests', String(nearlyValid)],
    ['of those answered, by status', tally()],
  ])
})

// Each caller states what it expects of the answer.
// oxlint-disable-next-line typescript/no-explicit-any
async function api(apiKey: string, method: string, path: string, body?: unknown): Promise<any> {
  const caller = new ApiCaller({ baseUrl: server.url, apiKey })
  const answer = await caller.send(method, path, JSON.stringify(body))
  expect(answer.status, `${method} ${path}: ${answer.status}`).toBeLessThan(300)
  return answer.body
}

async function createRows(key: string) {
  const session = await api(key, 'POST', '/sessions', { userId: 'u' })
  const agent = await api(key, 'POST', `/sessions/${session.id}/agents`, {})
  const run = await api(key, 'POST', `/agents/${agent.id}/run`, { task: 'Say hello.' })
  return { sessionId: session.id as string, agentId: agent.id as string, taskId: run.taskId as string }
}

async function renew(): Promise<void> {
  const { sessionId, agentId, taskId } = await createRows(key)
  const { nextCursor } = await api(key, 'GET', '/sessions?limit=1')
  ids = {
    'OWN-SESSION': sessionId,
    'OWN-AGENT': agentId,
    'OWN-TASK': taskId,
    'OWN-CURSOR': nextCursor ?? '',
    'FOREIGN-SESSION': foreign.sessionId,
    'FOREIGN-AGENT': foreign.agentId,
  }
}

function filled(request: FuzzRequest): FuzzRequest {
  const target = request.target.replaceAll(/(OWN|FOREIGN)-[A-Z]+/g, (name) => ids[name] ?? name)
  const headers = request.headers.map(([name, value]): [string, string] => [name, value.replace(keyPlaceholder, key)])
  return { ...request, target, headers }
}

/** The bytes on the wire; the server closes the connection after its answer. */
function toBytes({ method, target, headers, body }: FuzzRequest): Uint8Array {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const length = body.length > 0 ? `Content-Length: ${body.length}\r\n` : ''
  const head = `${method} ${target} HTTP/1.1\r\n${lines}${length}Connection: close\r\n\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}

/** The text reveals nothing about the machine or the program's internals, and no key. */
function expectNothingRevealed({ text }: RawAnswer): void {
  expect(text).not.toMatch(/\n\s+at |node_modules|node:internal|file:\/\/|SQLITE_|\.ts:\d|\.js:\d/)
  for (const secret of [root, tmpdir(), '/var/lib/theazo', key.slice(8), server.apiKey.slice(8)]) {
    expect(text).not.toContain(secret)
  }
}

/** The status and the code of the error envelope match, and the request id is the one in the header. */
function expectDocumented(answer: RawAnswer, method: string): void {
  const { status = 0, headers, body } = answer
  expectNothingRevealed(answer)
  expect(headers['x-request-id'], answer.text.slice(0, 300)).toMatch(/^req_[0-9A-HJKMNP-TV-Z]{26}$/)
  expect(headers).toHaveProperty('theazo-features')
  if (method === 'HEAD') return expect(body).toBe('')
  for (const [, time] of body.matchAll(/"(?:from|until|\w+At)":"([^"]*)"/g)) {
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  }
  if (status < 300) return
  expect(headers['content-type']).toBe('application/json')
  const { error } = JSON.parse(body)
  expect([status, error.code]).toEqual([status, codeByStatus[status]])
  expect(error).toEqual({
    code: expect.any(String),
    message: expect.any(String),
    requestId: headers['x-request-id'],
    ...(error.details && { details: expect.any(Object) }),
  })
  expect(error.message).not.toBe('')
  if (status === 422)
    for (const says of Object.values(error.details.fields))
      expect(says).toEqual(expect.arrayContaining([expect.any(String)]))
}

function expectAnswer(request: FuzzRequest, answer: RawAnswer): void {
  const { status, headers } = answer
  const { isKnownKey, route, isKnownPath } = request.expected
  expectDocumented(answer, request.method)
  // An id such as `..` changes the path, perhaps to one that needs no key; the envelope is still checked.
  const path = request.target.split('?')[0] ?? ''
  const isPlain = !/\/(\.|%2e){1,2}(\/|$)|%|\/\/|\/$|\\/i.test(path)
  if (!isPlain) return
  if (!isKnownKey) return expect(status).toBe(401)
  // A reused or invalid idempotency key is reported before an unknown path.
  const isKeyed = request.method === 'POST' && request.headers.some(([name]) => name === 'Idempotency-Key')
  const ofKeys = isKeyed ? [409, 422] : []
  if (!isKnownPath) return expect([404, ...ofKeys]).toContain(status)
  if (route) {
    expect([...route.statuses, 402, 404, 409, 422]).toContain(status)
    return
  }
  const here = routes.filter((other) => matches(other, path))
  const isKnown = here.some(
    ({ method }) => method === request.method || (method === 'GET' && request.method === 'HEAD'),
  )
  if (isKnown) return expect([200, 201, 202, 402, 404, 409, 422]).toContain(status)
  expect([405, ...ofKeys]).toContain(status)
  if (status !== 405) return
  const allowed = (headers['allow'] ?? '').split(', ').filter((method) => method !== 'HEAD')
  expect(allowed.toSorted()).toEqual(here.map(({ method }) => method).toSorted())
}

function matches({ path: template }: Route, path: string): boolean {
  return new RegExp(`^/v1${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)
}

/** The positive control: the server still works after the fuzzed requests. */
async function expectWorks(): Promise<void> {
  const { agentId, taskId } = await createRows(key)
  await expect.poll(async () => (await api(key, 'GET', `/agents/${agentId}/tasks/${taskId}`)).status).toBe('completed')
  const exec = await api(key, 'POST', `/agents/${agentId}/exec`, { lang: 'python', code: 'print(2 + 2)' })
  expect(exec.stdout).toBe('4\n')
  await api(key, 'POST', `/agents/${agentId}/terminate`)
  const stream = await fetch(`${server.url}/agents/${agentId}/stream?lastEventId=0`, {
    headers: { authorization: `Bearer ${key}` },
  })
  expect(await stream.text()).toMatch(/event: output\n[^]*"status":"terminated"/)
  for (const name of ['theazo_streams_open', 'theazo_execs_running', 'theazo_tasks_running']) {
    await expect.poll(() => metricOf(server.url, name), { timeout: 10_000 }).toBe(0)
  }
  expect(log.length).toBeGreaterThan(0)
  expect(log.filter((line) => JSON.parse(line).level >= 50)).toEqual([])
  for (const secret of [key, server.apiKey, foreign.key])
    expect(log.filter((line) => line.includes(secret))).toEqual([])
  log.length = 0
}

const limit = isSoak ? 600_000 : 60_000

describe('nearly valid requests', () => {
  test('each get a documented answer, whatever is wrong with them', { timeout: limit }, async () => {
    const seen = new Map<string, Set<number>>()
    const before = await foreignView()
    const unknown: Route = { method: 'POST', path: '/nowhere/{id}', name: '', query: {}, body: {}, statuses: [] }
    const requests = fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...routes).chain((route) => requestsOf(route)) },
      { weight: 1, arbitrary: requestsOf(unknown, false) },
    )
    const property = fc.asyncProperty(requests, async (generated) => {
      if ((nearlyValid += 1) % 40 === 0) await renew()
      const request = filled(generated)
      const answer = await sendRaw(port, toBytes(request))
      expectAnswer(request, answer)
      const name = generated.expected.route?.name ?? 'another method'
      seen.set(name, (seen.get(name) ?? new Set()).add(answer.status ?? 0))
      statuses.set(answer.status ?? 0, (statuses.get(answer.status ?? 0) ?? 0) + 1)
    })
    await fc.assert(property, { seed, numRuns: runs, endOnFailure: isSoak })
    // Control: every route succeeded, or reported that its agent was in the wrong state.
    for (const { name, statuses } of routes) {
      const got = [...(seen.get(name) ?? [])]
      expect(
        got.some((status) => statuses.includes(status) || status === 409),
        `${name} was answered ${got.join(', ')}`,
      ).toBe(true)
      expect(got).toContain(401)
    }
    expect(seen.get('another method')).toContain(405)
    expect(await foreignView()).toEqual(before)
    await expectWorks()
  })

  /** Rows of another project: no request of this test may reach them. */
  async function foreignView(): Promise<unknown> {
    const { sessionId, agentId } = foreign
    const paths = [
      '/sessions?limit=100',
      `/sessions/${sessionId}`,
      `/sessions/${sessionId}/agents`,
      `/agents/${agentId}`,
    ]
    return await Promise.all(paths.map((path) => api(foreign.key, 'GET', path)))
  }

  test('each get a documented answer if many are sent at the same time', { timeout: limit }, async () => {
    const requests = fc.sample(
      fc.constantFrom(...routes).chain((route) => requestsOf(route)),
      { seed: seed + 1, numRuns: isSoak ? 3000 : 400 },
    )
    for (let at = 0; at < requests.length; at += 100) {
      await renew()
      const batch = requests.slice(at, at + 100).map(filled)
      const answers = await Promise.all(batch.map((request) => sendRaw(port, toBytes(request), { timeoutMs: 30_000 })))
      expect(answers).toHaveLength(batch.length)
      for (const [n, answer] of answers.entries()) expectDocumented(answer, batch[n]?.method ?? '')
    }
    await expectWorks()
  })

  test('are refused with a short answer, however long their values are', async () => {
    const huge = 'p'.repeat(1_000_000)
    const probes = [
      [`/sessions/${ids['OWN-SESSION']}/agents`, { compute: { provider: huge } }],
      [`/sessions/${ids['OWN-SESSION']}/agents`, { tools: [huge] }],
      [`/sessions/${ids['OWN-SESSION']}/agents`, { tools: Array.from({ length: 100_000 }, (_, n) => `tool${n}`) }],
      ['/sessions', { userId: huge }],
      [`/agents/${ids['OWN-AGENT']}/exec`, { lang: huge, code: '' }],
    ] as const
    for (const [path, body] of probes) {
      const bytes = Buffer.from(JSON.stringify(body))
      const headers: [string, string][] = [
        ['Host', 'x'],
        ['Authorization', `Bearer ${key}`],
      ]
      const request = { method: 'POST', target: `/v1${path}`, headers, body: bytes }
      const answer = await sendRaw(
        port,
        toBytes({ ...request, expected: { isKnownKey: true, route: undefined, isKnownPath: true } }),
      )
      expectDocumented(answer, 'POST')
      expect([answer.status, answer.body.length < 4000]).toEqual([422, true])
    }
  })
})

test('every documented POST is executed once for each Idempotency-Key', async () => {
  await renew()
  for (const route of routes.filter(({ method }) => method === 'POST')) {
    const path = route.path
      .replace('{userId}', 'u')
      .replace('{taskId}', ids['OWN-TASK'] ?? '')
      .replace('{id}', (route.path.startsWith('/sessions/') ? ids['OWN-SESSION'] : ids['OWN-AGENT']) ?? '')
    const answers = []
    for (const _ of [1, 2]) {
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'idempotency-key': route.name.replaceAll(' ', '-') },
        body: JSON.stringify(sampleOf(route.body ?? {}) ?? {}),
      })
      const body = await response.json()
      delete body.error?.requestId
      answers.push([response.status, body, response.headers.get('idempotent-replayed')])
    }
    expect(answers[1], route.name).toEqual([...(answers[0] ?? []).slice(0, 2), 'true'])
    if (route.path.endsWith('/terminate')) await renew()
  }
})

describe('text', () => {
  const bodies = {
    'that is no UTF-8': Buffer.from([...Buffer.from('{"userId":"'), 0xff, ...Buffer.from('"}')]),
    'that is half a surrogate pair': Buffer.from('{"userId":"\\ud800"}'),
  }
  test.each(Object.entries(bodies))('%s is 422, because it would be stored as a different text', async (_, body) => {
    const headers = { authorization: `Bearer ${key}` }
    const response = await fetch(`${server.url}/sessions`, { method: 'POST', headers, body })
    expect([response.status, (await response.json()).error.code]).toEqual([422, 'unprocessable_entity'])
  })

  test('that is half a surrogate pair is 422 as an agent name: two such names would be stored as the same name', async () => {
    await renew()
    for (const text of ['{"name":"\\ud800"}', '{"name":"\\udc00"}', '{"instructions":"\\ud800"}']) {
      const headers = { authorization: `Bearer ${key}` }
      const path = `${server.url}/sessions/${ids['OWN-SESSION']}/agents`
      expect((await fetch(path, { method: 'POST', headers, body: text })).status).toBe(422)
    }
  })

  test.each([
    '\u0000',
    'a\u0000b',
    '\r\nset-cookie: a=1',
    '\u2028',
    '\ud83d\ude00',
    'constructor',
    "';--",
    '%2e%2e',
    '\ufeff',
  ])('of a user id and of metadata is returned as it was sent, and is in no header: %j', async (text) => {
    const { key } = await server.keys.create({ mode: 'test', plan: 'enterprise', project: 'text' })
    const metadata = { [text]: text, nested: [{ [text]: text }] }
    const made = await api(key, 'POST', '/sessions', { userId: text, metadata })
    const { __proto__: _, ...expected } = metadata as Record<string, unknown>
    expect(made.userId).toBe(text)
    if (text !== '__proto__') expect(made.metadata).toEqual(expected)
    const headers = { authorization: `Bearer ${key}` }
    const path = `${server.url}/sessions/by-user/${encodeURIComponent(text)}`
    const found = await fetch(path, { method: 'POST', headers })
    expect(await found.json()).toEqual(made)
    expect([...found.headers.keys()]).not.toContain('set-cookie')
    const listed = await api(key, 'GET', `/sessions?userId=${encodeURIComponent(text)}`)
    expect(listed.data).toEqual([made])
  })
})

describe('paths outside /v1', () => {
  test.each(['/healthz', '/readyz', '/metrics', '/docs', '/openapi.json', '/docs/start.js'])(
    '%s answers GET and HEAD, and another method with 405',
    async (path) => {
      for (const method of ['GET', 'HEAD']) {
        expect((await fetch(new URL(path, server.url), { method })).status).toBe(200)
      }
      for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
        const response = await fetch(new URL(path, server.url), { method })
        expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET'])
        expect((await response.json()).error.code).toBe('not_found')
      }
    },
  )

  test.each([
    '/',
    '/v1',
    '/v1/',
    '/v2/sessions',
    '//v1/sessions',
    '/docs/..%2fpackage.json',
    '/docs/%2e%2e/%2e%2e/etc/passwd',
  ])('%s is 404 or 401, with the error envelope', async (path) => {
    const bytes = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    const answer = await sendRaw(port, bytes)
    expectDocumented(answer, 'GET')
    expect([401, 404]).toContain(answer.status)
  })

  test('the documentation page may load its resources from this server; an API answer may load nothing', async () => {
    const policyOf = async (path: string) =>
      (await fetch(new URL(path, server.url))).headers.get('content-security-policy')
    expect(await policyOf('/docs')).toMatch(/script-src 'self'; style-src 'self'.*connect-src 'self'/)
    for (const path of ['/openapi.json', '/healthz', '/v1/sessions', '/nowhere']) {
      expect(await policyOf(path)).toBe("default-src 'none'; frame-ancestors 'none'")
    }
    const page = await (await fetch(new URL('/docs', server.url))).text()
    for (const [, source = ''] of page.matchAll(/(?:src|href)="([^"]+)"/g)) {
      expect((await fetch(new URL(source, server.url))).status).toBe(200)
    }
    expect(page).not.toMatch(/<script>|https?:\/\//)
  })

  test.each(['x-forwarded-for', 'forwarded'])('/metrics is not served through a proxy that sends %s', async (name) => {
    const ask = (headers: Record<string, string>) => fetch(new URL('/metrics', server.url), { headers })
    for (const value of ['1.2.3.4', '127.0.0.1', '']) {
      const { status } = await ask({ [name]: value })
      expect(status).toBe(404)
    }
    expect((await ask({})).status).toBe(200)
  })
})

describe('a stream', () => {
  const head = (method: string, more = '') =>
    Buffer.from(
      `${method} /v1/agents/${ids['OWN-AGENT']}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n${more}Connection: close\r\n\r\n`,
    )

  test('that is requested with HEAD is answered and does not stay open', async () => {
    await renew()
    for (const _ of [1, 2, 3]) {
      const answer = await sendRaw(port, head('HEAD'))
      expect([answer.status, answer.body]).toEqual([200, ''])
      expect(answer.headers['content-type']).toBe('text/event-stream')
    }
    await expect.poll(() => metricOf(server.url, 'theazo_streams_open')).toBe(0)
    // Control: an open stream is counted.
    const reading = new AbortController()
    const headers = { authorization: `Bearer ${key}` }
    await fetch(`${server.url}/agents/${ids['OWN-AGENT']}/stream`, { headers, signal: reading.signal })
    expect(await metricOf(server.url, 'theazo_streams_open')).toBe(1)
    reading.abort()
    await expect.poll(() => metricOf(server.url, 'theazo_streams_open')).toBe(0)
  })

  test('that resumes after a future event sends the events that come, and ends with its agent', async () => {
    await renew()
    const stream = await fetch(`${server.url}/agents/${ids['OWN-AGENT']}/stream`, {
      headers: { authorization: `Bearer ${key}`, 'last-event-id': '999999999999999' },
      signal: AbortSignal.timeout(10_000),
    })
    expect(stream.status).toBe(200)
    await api(key, 'POST', `/agents/${ids['OWN-AGENT']}/terminate`)
    expect(await stream.text()).toContain('"status":"terminated"')
  })

  test.each(['', 'x', '-1', '1.5', '1e3', '0x1', '1,2', '1 2', '\u00e9', '9'.repeat(16), '9'.repeat(4000)])(
    'that resumes after %j is 422',
    async (id) => {
      await renew()
      const head = `GET /v1/agents/${ids['OWN-AGENT']}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n`
      const answer = await sendRaw(
        port,
        Buffer.from(`${head}Last-Event-ID: ${id}\r\nConnection: close\r\n\r\n`, 'latin1'),
      )
      expectDocumented(answer, 'GET')
      expect(answer.status).toBe(422)
    },
  )
})

describe('malformed HTTP', () => {
  const start = 'POST /v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer '
  const malformed: [name: string, text: string][] = [
    ['no HTTP', '\x16\x03\x01\x02\x00\x01\x00'.padEnd(200, '\xff')],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown version', 'GET / HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['an unknown method', 'BREW /v1/sessions HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a small method', 'get /v1/sessions HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no host', 'GET /v1/sessions HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['line feeds alone', 'GET /v1/sessions HTTP/1.1\nHost: x\n\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n'],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n z\r\n\r\n'],
    ['NUL in a header', 'GET / HTTP/1.1\r\nHost: x\r\nX: y\0\r\n\r\n'],
    ['bytes over 127 in the path', 'GET /v1/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a header that is too large', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['too many headers', `GET / HTTP/1.1\r\nHost: x\r\n${'X: aaaaaaaa\r\n'.repeat(3000)}\r\n`],
    ['a path that is too long', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['two lengths', `${start}KEY\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`],
    ['a length and chunks', `${start}KEY\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a negative length', `${start}KEY\r\nContent-Length: -1\r\n\r\n`],
    ['a length that is no number', `${start}KEY\r\nContent-Length: 1e3\r\n\r\n`],
    ['a length over all numbers', `${start}KEY\r\nContent-Length: 99999999999999999999999\r\n\r\n`],
    ['an unknown transfer coding', `${start}KEY\r\nTransfer-Encoding: gzip\r\n\r\nabcd`],
    ['a chunk of no size', `${start}KEY\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n`],
    ['a second chunk of no size', `${start}KEY\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n`],
    ['an unknown expectation', `${start}KEY\r\nExpect: miracles\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`],
    ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n'],
    ...['a b', 'x:99999', 'x/y', 'u@x', '[::1', '\u00e9', 'x?y', 'x#y', '%00', '[]', 'x:80:80'].map(
      (host): [string, string] => [
        `host ${host}`,
        `GET /v1/sessions HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      ],
    ),
  ]

  test.each(malformed)('%s is refused by the HTTP parser, and the next request is answered', async (_, text) => {
    const answer = await sendRaw(port, Buffer.from(text.replace('KEY', key), 'latin1'))
    expectNothingRevealed(answer)
    expect([undefined, 400, 413, 417, 431]).toContain(answer.status)
    expect((await fetch(new URL('/healthz', server.url))).status).toBe(200)
    expect(log.filter((line) => JSON.parse(line).level >= 50)).toEqual([])
  })

  test('a body that is cut off is dropped: nothing is created and no error is logged', async () => {
    const cuts = [
      `${start}${key}\r\nContent-Length: 30\r\n\r\n{"userId":`,
      `${start}${key}\r\nContent-Length: 30\r\nIdempotency-Key: cut\r\n\r\n{"userId":`,
      `${start}${key}\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{"userId":`,
      `${start}${key}\r\nContent-Length: 20000000\r\n\r\n{"userId":`,
    ]
    const sessions = async () => (await api(key, 'GET', '/sessions?limit=1')).data[0].id
    const before = await sessions()
    for (const text of cuts) {
      for (const options of [{ isCut: true }, { isEnded: true }]) {
        const answer = await sendRaw(port, Buffer.from(text), options)
        expect([undefined, 400]).toContain(answer.status)
      }
    }
    // The idempotency key of the request that was cut off is free again.
    const headers = { authorization: `Bearer ${key}`, 'idempotency-key': 'cut' }
    expect(await sessions()).toBe(before)
    const again = await fetch(`${server.url}/sessions`, { method: 'POST', headers, body: '{"userId":"cut"}' })
    expect(again.status).toBe(201)
    await expectWorks()
  })

  test('two pipelined requests are answered in order, also after a body that the server does not read', async () => {
    const auth = `Host: x\r\nAuthorization: Bearer ${key}\r\n`
    const unread = '{"userId":"x"}'
    const text =
      `POST /v1/nowhere HTTP/1.1\r\n${auth}Content-Length: ${unread.length}\r\n\r\n${unread}` +
      `GET /healthz HTTP/1.1\r\n${auth}Connection: close\r\n\r\n`
    const answer = await sendRaw(port, Buffer.from(text))
    expect(answer.text.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 200'])
    expect(answer.text).toMatch(/\{"status":"ok"\}/)
  })

  test('arbitrary bytes do not change the server', { timeout: limit }, async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'GET ',
        'POST ',
        '/v1/sessions',
        ' HTTP/1.1',
        '\r\n',
        '\n',
        '\r\n\r\n',
        'Host: x',
        ': ',
        '\0',
        ' ',
        '0\r\n\r\n',
      ),
      fc.constantFrom(
        'Content-Length: 5',
        'Transfer-Encoding: chunked',
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Expect: 100-continue',
      ),
      fc.string({ unit: 'binary-ascii', maxLength: 10 }),
    )
    const property = fc.asyncProperty(fc.array(piece, { maxLength: 20 }), async (pieces) => {
      const answer = await sendRaw(port, Buffer.from(pieces.join(''), 'latin1'), { isEnded: true })
      expectNothingRevealed(answer)
      expect([undefined, 200, 400, 401, 404, 405, 408, 413, 417, 431]).toContain(answer.status)
    })
    await fc.assert(property, { seed, numRuns: isSoak ? 2000 : 200 })
    await expectWorks()
  })
})
