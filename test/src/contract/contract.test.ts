// The HTTP API as a program in any language sees it: plain fetch over a real port, without our client.
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, ApiCaller, answerOf } from '../support/api-caller.ts'

let server: ListeningTheazo
let sessionId: string
let agentId: string

beforeAll(async () => {
  server = await listenTheazo({ port: 0 })
  sessionId = (await post('/sessions', { userId: 'contract' })).body.id
  agentId = (await post(`/sessions/${sessionId}/agents`, {})).body.id
})
afterAll(() => server[Symbol.asyncDispose]())

const send = async (path: string, init: RequestInit = {}): Promise<Answer> => {
  const caller = new ApiCaller({ baseUrl: server.url, apiKey: server.apiKey })
  return await answerOf(await caller.open(path, init))
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
  test('has its own request id and the list of extensions', async () => {
    const [a, b] = [await send(`/agents/${agentId}`), await send('/nowhere')]
    expect(a.headers.get('x-request-id')).toMatch(/^req_[0-9A-HJKMNP-TV-Z]{26}$/)
    expect(b.headers.get('x-request-id')).not.toBe(a.headers.get('x-request-id'))
    expect(a.headers.has('theazo-features')).toBe(true)
    expect(b.headers.has('theazo-features')).toBe(true)
  })

  test.each([undefined, '', 'Bearer', 'Bearer th_live_wrong', 'Basic dTpw', 'th_live_x', 'Bearer \u00e9'])(
    'is 401 without a valid key: %j',
    async (authorization) => {
      const response = await fetch(`${server.url}/agents/${agentId}`, {
        headers: authorization ? { authorization } : {},
      })
      expectEnvelope(await answerOf(response), { status: 401, code: 'unauthorized' })
    },
  )

  test('is 404 for an unknown path, and 405 for an unsupported method, with the allowed methods', async () => {
    expectEnvelope(await send('/nowhere'), { status: 404, code: 'not_found' })
    const answer = await send(`/agents/${agentId}/exec`)
    expectEnvelope(answer, { status: 405, code: 'not_found' })
    expect(answer.headers.get('allow')).toBe('POST')
    const outside = await fetch(new URL('/', server.url))
    expect([outside.status, (await outside.json()).error.code]).toEqual([404, 'not_found'])
  })

  test('is 422 and names the body if the body is not a JSON object; it is never a 500', async () => {
    for (const body of ['{', 'nope', '[]', 'null', '"text"', '\u0000', '{"userId":']) {
      expectFields(await send('/sessions', { method: 'POST', body }), body === '{}' ? 'userId' : 'body')
    }
  })

  test('is 422 and names the body if the body is over 10 MiB, with or without a Content-Length', async () => {
    const code = 'x'.repeat(11 * 1024 * 1024)
    expectFields(await exec({ lang: 'bash', code }), 'body')
    const stream = new Blob([JSON.stringify({ lang: 'bash', code })]).stream()
    // `duplex` is what fetch asks for with a streamed body; lib.dom does not know it.
    const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit
    expectFields(await send(`/agents/${agentId}/exec`, init), 'body')
    // The next request must not reuse the connection that has an unread body.
    for (const _ of [1, 2, 3, 4, 5]) {
      expectFields(await exec({ lang: 'bash', code }), 'body')
      expect((await send(`/agents/${agentId}`)).status).toBe(200)
    }
  })

  test('is 422 and names the body if the body is nested too deeply', async () => {
    const nested = (levels: number): string =>
      `{"userId":"deep","metadata":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`
    expect((await send('/sessions', { method: 'POST', body: nested(98) })).status).toBe(201)
    for (const levels of [101, 6000, 100_000]) {
      expectFields(await send('/sessions', { method: 'POST', body: nested(levels) }), 'body')
    }
  })

  test('does not depend on the content type of the body: the reference sends none', async () => {
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
      const headers = { 'content-type': type }
      const answer = await send('/sessions', { method: 'POST', headers, body: '{"userId":"typed"}' })
      expect(answer.status).toBe(201)
    }
  })
})

describe('sessions', () => {
  test('are created with the given fields', async () => {
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

  test('by user: a hundred concurrent calls create one session, and options apply only at its creation', async () => {
    const path = '/sessions/by-user/a%2Fb%20c%3F'
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => post(path, { metadata: { n } })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    expect(answers[0]?.body.userId).toBe('a/b c?')
    const again = await send(path, { method: 'POST' })
    expect(again.body).toEqual(answers[0]?.body)
  })

  test("by user: the user's newest session is returned", async () => {
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
  ])('invalid input is 422 and names the field: %j', async (body, field) => {
    expectFields(await post('/sessions', body), field)
  })

  test('that do not exist are 404', async () => {
    expectEnvelope(await send('/sessions/ses_nope'), { status: 404, code: 'not_found' })
    expectEnvelope(await post('/sessions/ses_nope/agents', {}), { status: 404, code: 'not_found' })
  })
})

describe('agents', () => {
  test('are ready when the create call returns', async () => {
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
      tools: ['run_code', 'read_file', 'write_file', 'edit_file', 'list_files', 'delete_file'],
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
  ])(
    'an option that this server does not support is 422 and lists the supported values: %j',
    async (body, field, says) => {
      const answer = await post(`/sessions/${sessionId}/agents`, body)
      expectFields(answer, field)
      expect(answer.body.error.message).toContain(says)
    },
  )

  test('exec returns the result that the reference shows', async () => {
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
  ])('exec with invalid input is 422 and names the fields: %j', async (body, fields) => {
    expectFields(await exec(body), ...fields)
  })

  test('that do not exist are 404, after the body has been validated', async () => {
    const path = '/agents/agt_nope/exec'
    expectEnvelope(await post(path, { lang: 'bash', code: '' }), { status: 404, code: 'not_found' })
    expectFields(await post(path, { lang: 'bash' }), 'code')
    expectEnvelope(await send('/agents/agt_nope'), { status: 404, code: 'not_found' })
    expectEnvelope(await post('/agents/agt_nope/terminate', {}), { status: 404, code: 'not_found' })
  })

  test('that are terminated can be terminated again and read; exec is 409', async () => {
    const { body } = await post(`/sessions/${sessionId}/agents`, {})
    for (const _ of [1, 2]) expect((await post(`/agents/${body.id}/terminate`, {})).body).toEqual({ ok: true })
    expect((await send(`/agents/${body.id}`)).body.status).toBe('terminated')
    const answer = await post(`/agents/${body.id}/exec`, { lang: 'bash', code: 'true' })
    expectEnvelope(answer, { status: 409, code: 'conflict' })
  })
})

describe('lists', () => {
  test('are sorted newest first, in pages whose cursor stays valid while rows are added', async () => {
    const ids: string[] = []
    for (let n = 0; n < 5; n += 1) ids.unshift((await post('/sessions', { userId: 'pages' })).body.id)
    const first = await send('/sessions?limit=2&userId=pages')
    expect(first.body).toMatchObject({ data: [{ id: ids[0] }, { id: ids[1] }], hasMore: true })
    await post('/sessions', { userId: 'pages' })
    const second = await send(`/sessions?limit=2&userId=pages&cursor=${first.body.nextCursor}`)
    expect(second.body).toMatchObject({ data: [{ id: ids[2] }, { id: ids[3] }], hasMore: true })
    const last = await send(`/sessions?limit=2&userId=pages&cursor=${second.body.nextCursor}`)
    expect(last.body).toEqual({ data: [expect.objectContaining({ id: ids[4] })], hasMore: false })
    expect(last.body.data[0]).toEqual((await send(`/sessions/${ids[4]}`)).body)
  })

  test('have 25 items per page by default', async () => {
    await Promise.all(Array.from({ length: 26 }, () => post('/sessions', { userId: 'many' })))
    expect((await send('/sessions?userId=many')).body).toMatchObject({ data: { length: 25 }, hasMore: true })
    expect((await send('/sessions?userId=many&limit=100')).body).toMatchObject({ data: { length: 26 }, hasMore: false })
  })

  test.each(['limit=0', 'limit=101', 'limit=', 'limit=1.5', 'limit=x', 'cursor=', 'cursor=cur_x', 'status=asleep'])(
    'an invalid parameter is 422 and is named: %s',
    async (query) => {
      expectFields(await send(`/sessions?${query}`), query.split('=')[0] ?? '')
      expectFields(await send(`/sessions/${sessionId}/agents?${query}`), query.split('=')[0] ?? '')
    },
  )

  test('of agents contain one session, and can be filtered by status or name', async () => {
    const { body: session } = await post('/sessions', { userId: 'agents' })
    const path = `/sessions/${session.id}/agents`
    const { body: a } = await post(path, { name: 'a' })
    const { body: b } = await post(path, {})
    await post(`/agents/${b.id}/terminate`, {})
    const ids = async (query: string): Promise<string[]> =>
      (await send(path + query)).body.data.map(({ id }: { id: string }) => id)
    expect(await ids('')).toEqual([b.id, a.id])
    expect(await ids('?status=idle')).toEqual([a.id])
    expect(await ids('?name=a')).toEqual([a.id])
    expect(await ids('?name=none')).toEqual([])
    expectEnvelope(await send('/sessions/ses_none/agents'), { status: 404, code: 'not_found' })
  })
})

describe('sessions that are changed', () => {
  const patch = (id: string, body: unknown) => send(`/sessions/${id}`, { method: 'PATCH', body: JSON.stringify(body) })

  test('merge limits and metadata; null removes a field', async () => {
    const limits = { maxAgents: 3, maxComputeMinutes: 10 }
    const { body } = await post('/sessions', { userId: 'patched', limits, metadata: { a: 1, b: { c: 2 } } })
    const change = { limits: { maxAgents: null, maxComputeMinutes: 20 }, metadata: { a: null, d: 3 } }
    const changed = await patch(body.id, change)
    expect(changed.status).toBe(200)
    expect(changed.body).toMatchObject({ limits: { maxComputeMinutes: 20 }, metadata: { b: { c: 2 }, d: 3 } })
    expect([Object.keys(changed.body.limits), Object.keys(changed.body.metadata)]).toEqual([
      ['maxComputeMinutes'],
      ['b', 'd'],
    ])
    expect((await send(`/sessions/${body.id}`)).body).toEqual(changed.body)
    expect((await patch(body.id, { limits: null })).body).toMatchObject({ limits: {}, metadata: { d: 3 } })
    expect((await patch(body.id, {})).body.metadata).toEqual({ b: { c: 2 }, d: 3 })
  })

  test('refuse invalid input with the name of the field, and an unknown id', async () => {
    const { body } = await post('/sessions', { userId: 'patched' })
    expectFields(await patch(body.id, { limits: { maxAgents: -1 } }), 'limits.maxAgents')
    expectFields(await patch(body.id, { metadata: [] }), 'metadata')
    expectEnvelope(await patch('ses_none', {}), { status: 404, code: 'not_found' })
  })

  test('end with their agents: a second call succeeds, no agent can be added, and the user gets a new session', async () => {
    const { body: session } = await post('/sessions/by-user/ending', {})
    const { body: agent } = await post(`/sessions/${session.id}/agents`, {})
    const running = post(`/agents/${agent.id}/exec`, { lang: 'bash', code: 'echo x > started; sleep 300' })
    for (let stdout = ''; stdout === '';) {
      ;({ stdout } = (await post(`/agents/${agent.id}/exec`, { lang: 'bash', code: 'cat started' })).body)
    }
    for (const _ of [1, 2]) expect((await post(`/sessions/${session.id}/terminate`, {})).body).toEqual({ ok: true })
    expectEnvelope(await running, { status: 409, code: 'conflict' })
    expect((await send(`/sessions/${session.id}`)).body.status).toBe('terminated')
    expect((await send(`/agents/${agent.id}`)).body.status).toBe('terminated')
    expectEnvelope(await post(`/sessions/${session.id}/agents`, {}), { status: 409, code: 'conflict' })
    expectEnvelope(await patch(session.id, {}), { status: 409, code: 'conflict' })
    expect((await post('/sessions/by-user/ending', {})).body.id).not.toBe(session.id)
    expectEnvelope(await post('/sessions/ses_none/terminate', {}), { status: 404, code: 'not_found' })
  })
})

describe('agents with a name', () => {
  test('are created once by any number of concurrent calls, and returned again until they end', async () => {
    const { body: session } = await post('/sessions', { userId: 'names' })
    const path = `/sessions/${session.id}/agents`
    const body = { name: 'main', metadata: { thread: 1 } }
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(path, body)))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([...Array(19).fill(200), 201])
    const ids = new Set(answers.map((answer) => answer.body.id))
    expect(ids.size).toBe(1)
    const [id] = ids
    expect(new Set(answers.map((answer) => answer.body.status))).toEqual(new Set(['idle']))
    expect((await send(`/agents/${id}`)).body).toMatchObject({ id, status: 'idle', ...body })
    await post(`/agents/${id}/terminate`, {})
    expect((await post(path, body)).body.id).not.toBe(id)
  })

  test('belong to their session', async () => {
    const [a, b] = [await post('/sessions', { userId: 'n1' }), await post('/sessions', { userId: 'n2' })]
    const [one, two] = [
      await post(`/sessions/${a.body.id}/agents`, { name: 'same' }),
      await post(`/sessions/${b.body.id}/agents`, { name: 'same' }),
    ]
    expect(one.body.id).not.toBe(two.body.id)
  })

  test.each([{ name: '' }, { name: 'x'.repeat(129) }, { name: 1 }, { metadata: 'x' }])(
    'refuse bad input by its field: %j',
    async (body) => {
      expectFields(await post(`/sessions/${sessionId}/agents`, body), Object.keys(body)[0] ?? '')
    },
  )
})
