// Variants of an HTTP request: a slash at the end of the path, the encoding of the body, the Accept header.
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

/** Sends bytes with this Content-Encoding, which they may or may not have. */
async function sendEncoded(path: string, encoding: string, bytes: Uint8Array) {
  const response = await fetch(mocked.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${mocked.key}`, 'content-encoding': encoding },
    body: new Uint8Array(bytes),
  })
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) }
}

describe('a slash at the end of a path is ignored', () => {
  test('for every kind of request', async () => {
    const made = await mocked.post('/sessions/', { userId: 'slash' })
    expect(made.status).toBe(201)
    const { id } = made.body
    expect((await mocked.get(`/sessions/${id}/`)).body).toEqual(made.body)
    expect((await mocked.get('/sessions/?userId=slash')).body.data).toEqual([made.body])
    expect((await mocked.post('/sessions/by-user/slash/')).body.id).toBe(id)
    expect((await mocked.patch(`/sessions/${id}/`, { metadata: { a: 1 } })).body.metadata).toEqual({ a: 1 })
    const agent = await mocked.post(`/sessions/${id}/agents/`)
    expect((await mocked.post(`/agents/${agent.body.id}/exec/`, { lang: 'bash', code: 'echo hi' })).status).toBe(200)
    const headers = { 'idempotency-key': 'slash' }
    const first = await mocked.post('/sessions', { userId: 'once' }, headers)
    expect((await mocked.post('/sessions/', { userId: 'once' }, headers)).body).toEqual(first.body)
    expect((await fetch(new URL('/openapi.json/', server.url))).status).toBe(200)
  })

  test('also for unknown paths and unsupported methods', async () => {
    expectError(await mocked.get('/nowhere/'), 404, 'not_found')
    expectError(await mocked.get('/sessions//'), 404, 'not_found')
    expectError(await mocked.send('DELETE', '/sessions/'), 405, 'not_found')
  })

  test('and the request needs the same scope', async () => {
    const { key } = await server.keys.create({ mode: 'test', plan: 'enterprise', scopes: ['exec'] })
    const id = await mocked.session()
    expectError(await mocked.with(key).post(`/sessions/${id}/terminate/`), 403, 'forbidden')
  })
})

describe('a body with a Content-Encoding', () => {
  const bytes = Buffer.from('{"userId":"packed"}')

  test.each([
    ['gzip', gzipSync(bytes)],
    ['x-gzip', gzipSync(bytes)],
    ['GZIP', gzipSync(bytes)],
    ['deflate', deflateSync(bytes)],
    ['br', brotliCompressSync(bytes)],
    ['identity', bytes],
  ])('%s is decoded', async (encoding, packed) => {
    const { status, body } = await sendEncoded('/sessions', encoding, packed)
    expect([status, body.userId]).toEqual([201, 'packed'])
  })

  test('has the usual size limit, which applies to the decoded body', async () => {
    const agentId = await mocked.agent()
    const exec = (sizeBytes: number) =>
      gzipSync(JSON.stringify({ lang: 'bash', code: '', stdin: 'x'.repeat(sizeBytes) }))
    const mebi = 1024 * 1024
    expect((await sendEncoded(`/agents/${agentId}/exec`, 'gzip', exec(9 * mebi))).status).toBe(200)
    for (const sizeBytes of [11 * mebi, 400 * mebi]) {
      const answer = await sendEncoded(`/agents/${agentId}/exec`, 'gzip', exec(sizeBytes))
      expectFields(answer, 'body')
      expect(answer.body.error.message).toContain('larger than 10 MiB')
    }
    const metadata = gzipSync(JSON.stringify({ userId: 'u', metadata: { a: 'x'.repeat(2 * mebi) } }))
    expectFields(await sendEncoded('/sessions', 'gzip', metadata), 'body')
  })

  test('that is invalid, cut off or in an unsupported encoding is 422', async () => {
    expectFields(await sendEncoded('/sessions', 'gzip', bytes), 'body')
    expectFields(await sendEncoded('/sessions', 'gzip', gzipSync(bytes).subarray(0, -12)), 'body')
    for (const encoding of ['zstd', 'gzip, gzip', 'constructor', 'utf-8']) {
      const answer = await sendEncoded('/sessions', encoding, bytes)
      expectFields(answer, 'content-encoding')
      expect(answer.body.error.message).toContain('must be gzip, deflate or br')
    }
  })
})

describe('exec returns the media type that the client prefers', () => {
  test.each([
    ['text/event-stream', 'text/event-stream'],
    ['text/event-stream, application/json', 'text/event-stream'],
    ['application/json, TEXT/EVENT-STREAM', 'text/event-stream'],
    ['text/event-stream;q=0.5, */*;q=0.1', 'text/event-stream'],
    ['text/event-stream;q=0', 'application/json'],
    ['application/json, text/event-stream; q=0', 'application/json'],
    ['application/json, text/event-stream;q=0.000', 'application/json'],
    ['application/json;q=0.9, text/event-stream;q=0.5', 'application/json'],
    ['text/event-stream;q=none', 'application/json'],
    ['text/event-stream-not', 'application/json'],
    ['*/*', 'application/json'],
  ])('%s: %s', async (accept, type) => {
    const agentId = await mocked.agent()
    const { headers } = await fetch(`${mocked.url}/agents/${agentId}/exec`, {
      method: 'POST',
      headers: { authorization: `Bearer ${mocked.key}`, accept },
      body: JSON.stringify({ lang: 'bash', code: 'echo hi' }),
    })
    expect(headers.get('content-type')).toBe(type)
  })
})
