// The reference, Sessions: one test for each sentence that states behaviour, then what the contract adds.
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ServerTestClock } from '../support/clock.ts'
import { CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

const maxCost = { amount: 500, currency: 'usd', period: 'day' }

describe('sessions', () => {
  test('provide isolation: an agent runs inside exactly one session', async () => {
    const [a, b] = [await mocked.session({ userId: 'a' }), await mocked.session({ userId: 'b' })]
    const agentId = await mocked.agent({}, a)
    expect((await mocked.get(`/agents/${agentId}`)).body.sessionId).toBe(a)
    const ids = async (session: string): Promise<string[]> =>
      (await mocked.get(`/sessions/${session}/agents`)).body.data.map(({ id }: { id: string }) => id)
    expect([await ids(a), await ids(b)]).toEqual([[agentId], []])
  })

  test('create returns the session immediately, and agents can be added', async () => {
    const { status, body } = await mocked.post('/sessions', { userId: 'user_123' })
    expect([status, body]).toMatchObject([201, { userId: 'user_123', status: 'active', limits: {}, metadata: {} }])
    await mocked.agent({}, body.id)
  })

  test('userId is required and can be any text', async () => {
    expectFields(await mocked.post('/sessions', {}), 'userId')
    for (const userId of ['user_123', ' ', 'ses_1', '{"a":1}', 'ü/é?&#😀', 'x'.repeat(256)]) {
      expect((await mocked.post('/sessions', { userId })).body.userId).toBe(userId)
    }
  })

  test.each(['session', 'day', 'month'])('limits.maxCost may have the period %s', async (period) => {
    const limits = { maxCost: { amount: 1, currency: 'usd', period } }
    expect((await mocked.post('/sessions', { userId: 'u', limits })).body.limits).toEqual(limits)
  })

  test('limits.maxCost caps the cost of a day, and starts again the next day', async () => {
    const clock = new ServerTestClock('2025-05-01T23:30:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const live = await CheckedCaller.to(fresh, fresh.apiKey)
    const sessionId = await live.session({ limits: { maxCost: { ...maxCost, amount: 50 } } }) // ten minutes
    const agentId = await live.agent({}, sessionId)
    await clock.advance(9 * 60_000)
    expect((await live.exec(agentId, 'bash', 'true')).status).toBe(200)
    await clock.advance(60_000)
    await expect.poll(async () => (await live.get(`/sessions/${sessionId}`)).body.status).toBe('paused')
    await expect.poll(async () => (await live.get(`/agents/${agentId}`)).body.status).toBe('paused')
    expectError(await live.post(`/agents/${agentId}/resume`), 402, 'session_limit_exceeded')
    await clock.advance(20 * 60_000)
    await expect.poll(async () => (await live.get(`/sessions/${sessionId}`)).body.status).toBe('active')
    expect((await live.post(`/agents/${agentId}/resume`)).body.status).toBe('idle')
  })

  test('limits.maxAgents is the maximum number of agents at the same time: a terminated agent does not count', async () => {
    const sessionId = await mocked.session({ limits: { maxAgents: 2 } })
    const create = () => mocked.post(`/sessions/${sessionId}/agents`)
    const [first] = [await mocked.agent({}, sessionId), await mocked.agent({}, sessionId)]
    expectError(await create(), 402, 'session_limit_exceeded')
    await mocked.post(`/agents/${first}/pause`) // a paused agent counts
    expectError(await create(), 402, 'session_limit_exceeded')
    await mocked.post(`/agents/${first}/terminate`)
    expect((await create()).status).toBe(201)
  })

  test('limits.maxComputeMinutes auto-pauses the session; a higher limit lets it continue', async () => {
    const clock = new ServerTestClock('2025-05-01T12:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const live = await CheckedCaller.to(fresh, fresh.apiKey)
    const sessionId = await live.session({ limits: { maxComputeMinutes: 10 } })
    const [a, b] = [await live.agent({}, sessionId), await live.agent({}, sessionId)]
    await clock.advance(4 * 60_000)
    const running = live.exec(a, 'bash', 'touch started; sleep 300') // its deadline is after the limit
    await live.exec(a, 'bash', 'until [[ -e started ]]; do sleep 0.02; done')
    await clock.advance(60_000) // the sum over agents, with idle time
    expectError(await running, 402, 'session_limit_exceeded') // the exec was killed
    await expect.poll(async () => (await live.get(`/sessions/${sessionId}`)).body.status).toBe('paused')
    for (const id of [a, b]) {
      await expect.poll(async () => (await live.get(`/agents/${id}`)).body.status).toBe('paused')
      expectError(await live.exec(id, 'bash', 'true'), 402, 'session_limit_exceeded')
      expectError(await live.post(`/agents/${id}/resume`), 402, 'session_limit_exceeded')
    }
    expectError(await live.post(`/sessions/${sessionId}/agents`), 402, 'session_limit_exceeded')

    const raised = await live.patch(`/sessions/${sessionId}`, { limits: { maxComputeMinutes: 20 } })
    expect(raised.body.status).toBe('active')
    expectError(await live.exec(a, 'bash', 'true'), 409, 'conflict') // agents stay paused until resumed
    expect((await live.post(`/agents/${a}/resume`)).body.status).toBe('idle')
    expect((await live.exec(a, 'bash', 'ls')).body.stdout).toBe('started\n')
  })

  test('metadata is stored with the session', async () => {
    const metadata = { plan: 'pro', nested: { a: [1, null, 'ü'] }, '': false }
    const { body } = await mocked.post('/sessions', { userId: 'u', metadata })
    expect((await mocked.get(`/sessions/${body.id}`)).body.metadata).toEqual(metadata)
  })
})

describe('a session by user', () => {
  test('is created with the options if there is none', async () => {
    const options = { limits: { maxCost }, metadata: { plan: 'pro' } }
    const { status, body } = await mocked.post('/sessions/by-user/fresh', options)
    expect([status, body]).toMatchObject([200, { userId: 'fresh', status: 'active', ...options }])
  })

  test('is returned unchanged if there is one, and the options are ignored', async () => {
    const first = await mocked.post('/sessions/by-user/known', { metadata: { n: 1 } })
    const again = await mocked.post('/sessions/by-user/known', { limits: { maxAgents: 1 }, metadata: { n: 2 } })
    expect([again.status, again.body]).toEqual([200, first.body])
  })

  test.each(['agents', 'terminate', 'run', 'exec', 'by-user', 'ses_1'])(
    'a user called like a part of a path, %s, gets a session too',
    async (userId) => {
      const { status, body } = await mocked.post(`/sessions/by-user/${userId}`, {}, { 'idempotency-key': userId })
      expect([status, body.userId]).toEqual([200, userId])
      expect((await mocked.post(`/sessions/by-user/${userId}`)).body).toEqual(body)
    },
  )

  test('a user id of more than 256 characters, or with half a surrogate pair, is refused with the name of the field', async () => {
    expectFields(await mocked.post(`/sessions/by-user/${'x'.repeat(257)}`), 'userId')
    expectFields(await mocked.post('/sessions', { userId: '\ud800' }), 'userId')
  })
})

describe('keys can read', () => {
  test('only rows of their project and their mode', async () => {
    const others = [
      { mode: 'live', plan: 'team' },
      { mode: 'test', plan: 'team', project: 'another' },
    ] as const
    const sessionId = await mocked.session({ userId: 'mine' })
    const agentId = await mocked.agent({}, sessionId)
    const taskId = await mocked.run(agentId, 'hello')
    for (const options of others) {
      const other = mocked.with((await server.keys.create(options)).key)
      const answers = [
        await other.get(`/sessions/${sessionId}`),
        await other.patch(`/sessions/${sessionId}`, {}),
        await other.post(`/sessions/${sessionId}/terminate`),
        await other.post(`/sessions/${sessionId}/agents`),
        await other.get(`/sessions/${sessionId}/agents`),
        await other.get(`/agents/${agentId}`),
        await other.exec(agentId, 'bash', 'true'),
        await other.post(`/agents/${agentId}/run`, { task: 'x' }),
        await other.get(`/agents/${agentId}/stream`),
        await other.get(`/agents/${agentId}/tasks/${taskId}`),
        await other.post(`/agents/${agentId}/tasks/${taskId}/cancel`),
        await other.post(`/agents/${agentId}/pause`),
        await other.post(`/agents/${agentId}/resume`),
        await other.post(`/agents/${agentId}/terminate`),
      ]
      for (const answer of answers) expectError(answer, 404, 'not_found')
      expect((await other.get('/sessions?userId=mine')).body.data).toEqual([])
      expect((await other.post('/sessions/by-user/mine')).body.id).not.toBe(sessionId)
    }
    const same = mocked.with((await server.keys.create({ mode: 'test', plan: 'free' })).key)
    expect((await same.get(`/agents/${agentId}`)).status).toBe(200) // control: another key of the same project
  })
})
