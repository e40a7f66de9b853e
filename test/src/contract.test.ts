// The wire as a caller in any language sees it: plain fetch over a real port, not our client.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let server: ListeningTheazo
let sessionId: string
let agentId: string

beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  sessionId = (await post('/sessions', { userId: 'contract' })).body.id
  agentId = (await post(`/sessions/${sessionId}/agents`, {})).body.id
})
afterAll(() => server[Symbol.asyncDispose]())

interface Answer {
  status: number
  headers: Headers
  // Each test says what it expects of the body.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any
}

async function send(path: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { authorization: `Bearer ${server.apiKey}`, ...init.headers }
  const response = await fetch(server.url + path, { ...init, headers })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

const post = (path: string, body: unknown) => send(path, { method: 'POST', body: JSON.stringify(body) })
const exec = (body: unknown) => post(`/agents/${agentId}/exec`, body)

function expectEnvelope({ status, headers, body }: Answer, expected: { status: number; code: string }): void {
  expect({ status, code: body.error?.code }).toEqual(expected)
  expect(body).toEqual({
    error: {
      code: expected.code,
      message: expect.any(String),
      requestId: headers.get('x-request-id'),
      ...(body.error.details && { details: body.error.details }),
    },
  })
}

function expectFields(answer: Answer, ...fields: string[]): void {
  expectEnvelope(answer, { status: 422, code: 'unprocessable_entity' })
  expect(Object.keys(answer.body.error.details.fields)).toEqual(fields)
}

describe('every answer', () => {
  test('carries a request id of its own and the features', async () => {
    const [a, b] = [await send(`/agents/${agentId}`), await send('/nowhere')]
    expect(a.headers.get('x-request-id')).toMatch(/^req_[0-9A-HJKMNP-TV-Z]{26}$/)
    expect(b.headers.get('x-request-id')).not.toBe(a.headers.get('x-request-id'))
    expect(a.headers.has('theazo-features')).toBe(true)
    expect(b.headers.has('theazo-features')).toBe(true)
  })

  test.each([undefined, '', 'Bearer', 'Bearer th_live_wrong', 'Basic dTpw', 'th_live_x', 'Bearer \u00e9'])(
    'without a valid key is 401: %j',
    async (authorization) => {
      const response = await fetch(`${server.url}/agents/${agentId}`, {
        headers: authorization ? { authorization } : {},
      })
      const { status, headers } = response
      expectEnvelope({ status, headers, body: await response.json() }, { status: 401, code: 'unauthorized' })
    },
  )

  test('to an unknown path is 404, to another method 405 with the methods there are', async () => {
    expectEnvelope(await send('/nowhere'), { status: 404, code: 'not_found' })
    const answer = await send(`/agents/${agentId}/exec`)
    expectEnvelope(answer, { status: 405, code: 'not_found' })
    expect(answer.headers.get('allow')).toBe('POST')
    const outside = await fetch(new URL('/', server.url))
    expect([outside.status, (await outside.json()).error.code]).toEqual([404, 'not_found'])
  })

  test('to a body that is no JSON object names it, and is never a 500', async () => {
    for (const body of ['{', 'nope', '[]', 'null', '"text"', '\u0000', '{"userId":']) {
      expectFields(await send('/sessions', { method: 'POST', body }), body === '{}' ? 'userId' : 'body')
    }
  })

  test('to a body over 10 MiB names it, whether its size is told before or not', async () => {
    const code = 'x'.repeat(11 * 1024 * 1024)
    expectFields(await exec({ lang: 'bash', code }), 'body')
    const stream = new Blob([JSON.stringify({ lang: 'bash', code })]).stream()
    // `duplex` is what fetch asks for with a streamed body; lib.dom does not know it.
    const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit
    expectFields(await send(`/agents/${agentId}/exec`, init), 'body')
    // The next call is not given the connection whose body was left unread.
    for (const _ of [1, 2, 3, 4, 5]) {
      expectFields(await exec({ lang: 'bash', code }), 'body')
      expect((await send(`/agents/${agentId}`)).status).toBe(200)
    }
  })

  test('to a body that is nested too deeply names it', async () => {
    const nested = (levels: number): string =>
      `{"userId":"deep","metadata":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`
    expect((await send('/sessions', { method: 'POST', body: nested(98) })).status).toBe(201)
    for (const levels of [101, 6000, 100_000]) {
      expectFields(await send('/sessions', { method: 'POST', body: nested(levels) }), 'body')
    }
  })

  test('is the same whatever content type the body claims: the reference sends none', async () => {
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
      const headers = { 'content-type': type }
      const answer = await send('/sessions', { method: 'POST', headers, body: '{"userId":"typed"}' })
      expect(answer.status).toBe(201)
    }
  })
})

describe("the reference's curl examples, as written but for address, key and ids", () => {
  async function curl(...args: string[]) {
    // Not the synchronous form: the server is in this process.
    const { stdout } = await promisify(execFile)('curl', [
      '-sS',
      ...args,
      '-H',
      `Authorization: Bearer ${server.apiKey}`,
    ])
    return JSON.parse(stdout)
  }

  test('create a session', async () => {
    const body = `{
    "userId": "user_123",
    "limits": {
      "maxCost": { "amount": 500, "currency": "usd", "period": "day" },
      "maxAgents": 3
    },
    "metadata": { "plan": "pro" }
  }`
    const session = await curl(
      '-X',
      'POST',
      `${server.url}/sessions`,
      '-H',
      'Content-Type: application/json',
      '-d',
      body,
    )
    expect(session).toMatchObject({ userId: 'user_123', limits: { maxAgents: 3 }, metadata: { plan: 'pro' } })
  })

  test('get or create a session by user', async () => {
    const body = `{
    "limits": {
      "maxCost": { "amount": 1000, "currency": "usd", "period": "month" }
    }
  }`
    const args = [
      '-X',
      'POST',
      `${server.url}/sessions/by-user/user_456`,
      '-H',
      'Content-Type: application/json',
      '-d',
      body,
    ]
    expect(await curl(...args)).toEqual(await curl(...args))
  })

  test('exec', async () => {
    const body = `{
    "lang": "python",
    "code": "print(2 + 2)"
  }`
    const url = `${server.url}/agents/${agentId}/exec`
    const result = await curl('-X', 'POST', url, '-H', 'Content-Type: application/json', '-d', body)
    expect(result).toMatchObject({ stdout: '4\n', stderr: '', exitCode: 0 })
  })

  test('terminate', async () => {
    const url = `${server.url}/sessions/${sessionId}/agents`
    const { id } = await curl('-X', 'POST', url, '-H', 'Content-Type: application/json', '-d', '{ "timeout": 120 }')
    expect(await curl('-X', 'POST', `${server.url}/agents/${id}/terminate`)).toEqual({ ok: true })
  })
})

describe('sessions', () => {
  test('are created with what was given', async () => {
    const limits = { maxCost: { amount: 500, currency: 'usd', period: 'day' }, maxAgents: 3 }
    const metadata = { plan: 'pro', nested: { a: [1, null] } }
    const { status, body } = await post('/sessions', { userId: 'user_123', limits, metadata, unknown: 1 })
    expect(status).toBe(201)
    expect(body).toEqual({
      id: expect.stringMatching(/^ses_[0-9A-HJKMNP-TV-Z]{26}$/),
      userId: 'user_123',
      status: 'active',
      limits,
      metadata,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updatedAt: body.createdAt,
    })
    expect((await send(`/sessions/${body.id}`)).body).toEqual(body)
  })

  test('by user: a hundred concurrent calls give one session, and options count only at its creation', async () => {
    const path = '/sessions/by-user/a%2Fb%20c%3F'
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => post(path, { metadata: { n } })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    expect(answers[0]?.body.userId).toBe('a/b c?')
    const again = await send(path, { method: 'POST' })
    expect(again.body).toEqual(answers[0]?.body)
  })

  test('by user: the newest one of the user is found', async () => {
    await post('/sessions', { userId: 'twice' })
    const { body } = await post('/sessions', { userId: 'twice' })
    expect((await post('/sessions/by-user/twice', {})).body.id).toBe(body.id)
  })

  test.each([
    [{}, 'userId'],
    [{ userId: '' }, 'userId'],
    [{ userId: 1 }, 'userId'],
    [{ userId: 'x'.repeat(257) }, 'userId'],
    [{ userId: 'u', metadata: [] }, 'metadata'],
    [{ userId: 'u', limits: { maxAgents: -1 } }, 'limits.maxAgents'],
    [{ userId: 'u', limits: { maxCost: { amount: 1.5, currency: 'usd', period: 'day' } } }, 'limits.maxCost.amount'],
    [{ userId: 'u', limits: { maxCost: { amount: 1, currency: 'eur', period: 'day' } } }, 'limits.maxCost.currency'],
    [{ userId: 'u', limits: { maxCost: { amount: 1, currency: 'usd', period: 'week' } } }, 'limits.maxCost.period'],
  ])('bad input names the field: %j', async (body, field) => {
    expectFields(await post('/sessions', body), field)
  })

  test('that are not there are 404', async () => {
    expectEnvelope(await send('/sessions/ses_nope'), { status: 404, code: 'not_found' })
    expectEnvelope(await post('/sessions/ses_nope/agents', {}), { status: 404, code: 'not_found' })
  })
})

describe('agents', () => {
  test('are ready when they are answered', async () => {
    const { status, body } = await post(`/sessions/${sessionId}/agents`, { instructions: 'Be brief.', timeout: 120 })
    expect(status).toBe(201)
    expect(body).toEqual({
      id: expect.stringMatching(/^agt_[0-9A-HJKMNP-TV-Z]{26}$/),
      sessionId,
      status: 'idle',
      compute: { provider: 'local' },
      model: null,
      browser: false,
      instructions: 'Be brief.',
      tools: ['run_code'],
      timeout: 120,
      task: null,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    })
    expect((await send(`/agents/${body.id}`)).body).toEqual(body)
  })

  test.each([
    [{ compute: { provider: 'e2b' } }, 'compute.provider', "it has 'local'"],
    [{ model: { id: 'claude' } }, 'model.id', 'no models'],
    [{ browser: true }, 'browser', 'not configured'],
    [{ tools: ['web_search'] }, 'tools', "it has 'run_code'"],
    [{ timeout: 0 }, 'timeout', 'at least 1'],
    [{ timeout: '5' }, 'timeout', 'number'],
  ])('what this server cannot give is 422 that names what it can: %j', async (body, field, says) => {
    const answer = await post(`/sessions/${sessionId}/agents`, body)
    expectFields(answer, field)
    expect(answer.body.error.message).toContain(says)
  })

  test('exec answers what the reference shows', async () => {
    const { status, body } = await exec({ lang: 'python', code: 'print(2 + 2)' })
    expect(status).toBe(200)
    expect(body).toEqual({ stdout: '4\n', stderr: '', exitCode: 0, durationMs: expect.any(Number) })
  })

  test.each([
    [{}, ['lang', 'code']],
    [{ lang: 'ruby', code: '' }, ['lang']],
    [{ lang: 'python' }, ['code']],
    [{ lang: 'python', code: 1 }, ['code']],
    [{ lang: 'constructor', code: '' }, ['lang']],
  ])('exec of bad input names the fields: %j', async (body, fields) => {
    expectFields(await exec(body), ...fields)
  })

  test('that are not there are 404, after the body was found good', async () => {
    const path = '/agents/agt_nope/exec'
    expectEnvelope(await post(path, { lang: 'bash', code: '' }), { status: 404, code: 'not_found' })
    expectFields(await post(path, { lang: 'bash' }), 'code')
    expectEnvelope(await send('/agents/agt_nope'), { status: 404, code: 'not_found' })
    expectEnvelope(await post('/agents/agt_nope/terminate', {}), { status: 404, code: 'not_found' })
  })

  test('terminated: again is fine, GET still answers, exec is 409', async () => {
    const { body } = await post(`/sessions/${sessionId}/agents`, {})
    for (const _ of [1, 2]) expect((await post(`/agents/${body.id}/terminate`, {})).body).toEqual({ ok: true })
    expect((await send(`/agents/${body.id}`)).body.status).toBe('terminated')
    const answer = await post(`/agents/${body.id}/exec`, { lang: 'bash', code: 'true' })
    expectEnvelope(answer, { status: 409, code: 'conflict' })
  })
})
