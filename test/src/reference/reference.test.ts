// The reference from its start to Sessions, and from Usage to its end: one test for each sentence that states behaviour.
import { type CreateKeyOptions, type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ServerTestClock } from '../support/clock.ts'
import { CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let live: CheckedCaller
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, live, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

async function keyOf(options: CreateKeyOptions): Promise<string> {
  return (await server.keys.create(options)).key
}

describe('base URL and authentication', () => {
  test('the API is under /v1 only', async () => {
    expect(server.url).toMatch(/\/v1$/)
    expect((await live.get('/sessions')).status).toBe(200)
    const headers = { authorization: `Bearer ${server.apiKey}` }
    for (const path of ['/sessions', '/v2/sessions', '/v1/v1/sessions']) {
      const response = await fetch(new URL(path, server.url), { headers })
      expect([path, response.status, (await response.json()).error.code]).toEqual([path, 404, 'not_found'])
    }
  })

  test('a key is passed as a Bearer token in every request', async () => {
    const agentId = await live.agent()
    for (const [method, path] of [
      ['GET', '/sessions'],
      ['POST', '/sessions'],
      ['POST', '/sessions/by-user/u'],
      ['POST', `/agents/${agentId}/terminate`],
      ['GET', `/agents/${agentId}/stream`],
      ['GET', '/usage/summary'],
      ['GET', '/nowhere'],
    ] as const) {
      const response = await fetch(server.url + path, { method })
      expect([path, response.status, (await response.json()).error.code]).toEqual([path, 401, 'unauthorized'])
    }
    expect((await live.get(`/agents/${agentId}`)).body.status).toBe('idle') // the refused requests changed nothing
  })

  test('live keys begin with th_live_, test keys with th_test_', async () => {
    expect(server.apiKey).toMatch(/^th_live_/)
    expect(await keyOf({ mode: 'live', plan: 'free' })).toMatch(/^th_live_/)
    expect(mocked.key).toMatch(/^th_test_/)
    const swapped = mocked.key.replace('th_test_', 'th_live_')
    expectError(await live.with(swapped).get('/sessions'), 401, 'unauthorized')
  })

  test('with a test key answers are mocked: code is not run', async () => {
    const code = 'print(sum(range(10)))'
    const agentId = await mocked.agent()
    const { status, body } = await mocked.exec(agentId, 'python', code)
    expect([status, body]).toEqual([200, { stdout: '', stderr: '', exitCode: 0, durationMs: 312 }])
    expect((await live.exec(await live.agent(), 'python', code)).body.stdout).toBe('45\n') // control: with a live key the code runs
  })

  test('a test key never provisions real compute, so it uses nothing', async () => {
    const sessionId = await mocked.session({ limits: { maxComputeMinutes: 0.0001 } })
    const agentId = await mocked.agent({}, sessionId)
    const taskId = await mocked.run(agentId, 'theazo:cost=12')
    const status = async () => (await mocked.get(`/agents/${agentId}/tasks/${taskId}`)).body.status
    await expect.poll(status, { timeout: 20_000 }).toBe('completed')
    const task = await mocked.get(`/agents/${agentId}/tasks/${taskId}`)
    expect(task.body.cost.amount).toBeGreaterThan(0) // reported, not billed
    const { body } = await mocked.get('/usage/summary')
    const nothing = { amount: 0, currency: 'usd' }
    expect(body).toMatchObject({
      compute: { minutes: 0, cost: nothing },
      models: { inputTokens: 0, outputTokens: 0, cost: nothing },
      storage: { gb: 0, cost: nothing },
      total: nothing,
    })
  })
})

describe('errors', () => {
  test('every error has the same envelope, with its own request id', async () => {
    const answers = [await live.get('/sessions/ses_none'), await live.post('/sessions', {}), await live.get('/nope')]
    for (const { headers, body } of answers) {
      expect(Object.keys(body)).toEqual(['error'])
      expect(body.error).toMatchObject({ code: expect.any(String), message: expect.stringMatching(/\S/) })
      expect(body.error.requestId).toBe(headers.get('x-request-id'))
    }
    expect(new Set(answers.map(({ body }) => body.error.requestId)).size).toBe(3)
  })

  describe('each code has its status', () => {
    test('unauthorized, 401: missing or invalid API key', async () => {
      expectError(await live.with('').get('/sessions'), 401, 'unauthorized')
      expectError(await live.with('th_live_none').get('/sessions'), 401, 'unauthorized')
    })

    test('forbidden, 403: the key lacks permission for this action', async () => {
      const reader = live.with(await keyOf({ mode: 'live', plan: 'free', scopes: ['read'] }))
      const agentId = await live.agent()
      expect((await reader.get(`/agents/${agentId}`)).status).toBe(200)
      expectError(await reader.post('/sessions', { userId: 'u' }), 403, 'forbidden')
      expectError(await reader.exec(agentId, 'bash', 'true'), 403, 'forbidden')
      expectError(await reader.post(`/agents/${agentId}/terminate`), 403, 'forbidden')
      expect((await live.get(`/agents/${agentId}`)).body.status).toBe('idle')
    })

    test('not_found, 404: the resource does not exist', async () => {
      expectError(await live.get('/agents/agt_none'), 404, 'not_found')
    })

    test('conflict, 409: resuming an agent that is not paused', async () => {
      const agentId = await mocked.agent()
      expectError(await mocked.post(`/agents/${agentId}/resume`), 409, 'conflict')
    })

    test('unprocessable_entity, 422: details name the fields', async () => {
      const answer = await live.post('/sessions', { userId: 1, limits: { maxAgents: 'many' } })
      expectFields(answer, 'limits.maxAgents', 'userId')
      for (const messages of Object.values(answer.body.error.details.fields)) {
        expect(messages).toEqual([expect.stringMatching(/\S/)])
      }
    })

    test('rate_limited, 429: details and header state when to retry', async () => {
      const limited = live.with(await keyOf({ mode: 'live', plan: 'free', rpm: 1 }))
      await limited.get('/sessions')
      const answer = await limited.get('/sessions')
      expectError(answer, 429, 'rate_limited')
      const { retryAfter } = answer.body.error.details
      expect(retryAfter).toBeGreaterThan(0)
      expect(answer.headers.get('retry-after')).toBe(String(retryAfter))
      expect(answer.body.error.message).toContain(`Retry after ${retryAfter} seconds`)
    })

    test('session_limit_exceeded, 402: cost, agent or compute limit reached', async () => {
      for (const limits of [
        { maxAgents: 0 },
        { maxComputeMinutes: 0 },
        { maxCost: { amount: 0, currency: 'usd', period: 'month' } },
      ]) {
        const sessionId = await mocked.session({ limits })
        expectError(await mocked.post(`/sessions/${sessionId}/agents`), 402, 'session_limit_exceeded')
      }
    })

    test('timeout, 504: exec exceeded its timeout', async () => {
      await using short = await listenTheazo({ port: 0, execTimeoutMs: 3000 })
      const caller = await CheckedCaller.to(short, short.apiKey)
      const agentId = await caller.agent()
      expectError(await caller.exec(agentId, 'bash', 'echo kept > file; sleep 60'), 504, 'timeout')
      expect((await caller.exec(agentId, 'bash', 'cat file')).body.stdout).toBe('kept\n') // the sandbox stays
    })

    test.each([
      ['unauthorized', 401],
      ['forbidden', 403],
      ['not_found', 404],
      ['conflict', 409],
      ['unprocessable_entity', 422],
      ['rate_limited', 429],
      ['session_limit_exceeded', 402],
      ['provider_error', 502],
      ['timeout', 504],
      ['internal_error', 500],
    ])('a test key can request the error %s, which has status %i', async (code, status) => {
      const agentId = await mocked.agent()
      const exec = await mocked.exec(agentId, 'bash', `# theazo:error=${code}`)
      const run = await mocked.post(`/agents/${agentId}/run`, { task: `theazo:refuse=${code}` })
      for (const answer of [exec, run]) {
        expectError(answer, status, code)
        const { retryAfter } = answer.body.error.details ?? {}
        expect(answer.headers.get('retry-after')).toBe(code === 'rate_limited' ? String(retryAfter) : null)
      }
    })

    test('a misspelt directive is 422 with the nearest name for a test key, and plain text for a live key', async () => {
      const [agentId, liveId] = [await mocked.agent(), await live.agent()]
      const exec = await mocked.exec(agentId, 'bash', '# theazo:stdot=hi')
      expectFields(exec, 'code')
      expect(exec.body.error.message).toContain("did you mean 'theazo:stdout'?")
      const run = await mocked.post(`/agents/${agentId}/run`, { task: 'theazo:outptu=hi' })
      expectFields(run, 'task')
      expect(run.body.error.message).toContain("did you mean 'theazo:output'?")
      expect((await live.exec(liveId, 'bash', 'echo on # theazo:stdot=hi')).body.stdout).toBe('on\n')
    })
  })
})

describe('usage', () => {
  test("the summary of the reference's example: 142 minutes are 710 cents", async () => {
    const clock = new ServerTestClock('2025-05-01T00:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const caller = await CheckedCaller.to(fresh, fresh.apiKey)
    const agentId = await caller.agent()
    await clock.advance(142 * 60_000)
    await caller.post(`/agents/${agentId}/pause`)
    await clock.advance(60_000) // a pause costs no compute
    const { body } = await caller.get('/usage/summary?from=2025-05-01')
    expect(body).toEqual({
      period: { from: '2025-05-01T00:00:00.000Z', until: '2025-05-01T02:23:00.000Z' },
      compute: { minutes: 142, cost: { amount: 710, currency: 'usd' } },
      models: { inputTokens: 0, outputTokens: 0, cost: { amount: 0, currency: 'usd' } },
      storage: { gb: expect.any(Number), cost: { amount: 0, currency: 'usd' } },
      total: { amount: 710, currency: 'usd' },
    })
  })

  test('from defaults to the start of the current billing period, and until to now', async () => {
    const clock = new ServerTestClock('2025-05-06T14:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const caller = await CheckedCaller.to(fresh, fresh.apiKey)
    const period = { from: '2025-05-01T00:00:00.000Z', until: '2025-05-06T14:00:00.000Z' }
    expect((await caller.get('/usage/summary')).body.period).toEqual(period)
    const { body } = await caller.get('/usage/summary?until=2025-05-02')
    expect(body.period).toEqual({ ...period, until: '2025-05-02T00:00:00.000Z' })
  })

  test('is filtered by the date range', async () => {
    const clock = new ServerTestClock('2025-05-01T10:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const caller = await CheckedCaller.to(fresh, fresh.apiKey)
    await caller.agent()
    await clock.advance(60 * 60_000)
    const minutes = async (query: string): Promise<number> =>
      (await caller.get(`/usage/summary?${query}`)).body.compute.minutes
    expect(await minutes('from=2025-05-01&until=2025-05-02')).toBe(60)
    expect(await minutes('from=2025-05-01T10:15:00Z')).toBe(45)
    expect(await minutes('until=2025-05-01T12:15:00%2B02:00')).toBe(15)
    expect(await minutes('from=2025-04-01&until=2025-05-01')).toBe(0)
  })

  test.each([
    ['from=yesterday', 'from'],
    ['until=2025-13-01', 'until'],
    ['from=2025-05-02&until=2025-05-01', 'from'],
  ])('%s is refused with the name of the parameter', async (query, field) => {
    expectFields(await live.get(`/usage/summary?${query}`), field)
  })

  test('can be filtered by session, user or key', async () => {
    const clock = new ServerTestClock('2025-05-01T00:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const caller = await CheckedCaller.to(fresh, fresh.apiKey)
    const other = await fresh.keys.create({ mode: 'live', plan: 'team' })
    const [a, b] = [await caller.session({ userId: 'a' }), await caller.session({ userId: 'b' })]
    await caller.agent({}, a)
    await caller.with(other.key).agent({}, b)
    await clock.advance(10 * 60_000)
    const minutes = async (query: string): Promise<number> =>
      (await caller.get(`/usage/summary?${query}`)).body.compute.minutes
    expect(await minutes('')).toBe(20)
    for (const query of [`sessionId=${a}`, 'userId=a', `keyId=${other.keyId}`]) expect(await minutes(query)).toBe(10)
    expect(await minutes('userId=nobody')).toBe(0)
    expectError(await caller.get('/usage/summary?sessionId=ses_none'), 404, 'not_found')
    expectError(await caller.get('/usage/summary?keyId=key_none'), 404, 'not_found')
  })
})

describe('pagination', () => {
  test('the cursor of a page returns the next page; the last page has no cursor', async () => {
    const own = live.with(await keyOf({ mode: 'live', plan: 'enterprise', project: 'pages' }))
    const ids: string[] = []
    for (let n = 0; n < 60; n += 1) ids.unshift(await own.session())
    const first = await own.get('/sessions?limit=25')
    expect(first.body).toMatchObject({ hasMore: true, nextCursor: expect.stringMatching(/^cur_/) })
    const second = await own.get(`/sessions?limit=25&cursor=${first.body.nextCursor}`)
    expect(second.body).toMatchObject({ hasMore: true, nextCursor: expect.stringMatching(/^cur_/) })
    const last = await own.get(`/sessions?limit=25&cursor=${second.body.nextCursor}`)
    expect([last.body.hasMore, Object.hasOwn(last.body, 'nextCursor')]).toEqual([false, false])
    const pages = [first, second, last].map(({ body }) => body.data.map(({ id }: { id: string }) => id))
    expect(pages.map(({ length }) => length)).toEqual([25, 25, 10])
    expect(pages.flat()).toEqual(ids)
  })

  test('metadata is included in lists', async () => {
    const own = live.with(await keyOf({ mode: 'live', plan: 'enterprise', project: 'metadata' }))
    await own.session({ metadata: { plan: 'pro' } })
    expect((await own.get('/sessions')).body.data).toMatchObject([{ metadata: { plan: 'pro' } }])
  })
})

describe('rate limits', () => {
  test.each([
    ['free', 60],
    ['cloud', 300],
    ['team', 1000],
  ] as const)('%s: %i requests per minute, in a sliding window', async (plan, limit) => {
    const clock = new ServerTestClock('2025-05-01T00:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const { key } = await fresh.keys.create({ mode: 'live', plan })
    const caller = await CheckedCaller.to(fresh, key)
    const statuses = async (count: number): Promise<number[]> => {
      const counts = new Map<number, number>()
      for (let left = count; left > 0; left -= 50) {
        const calls = Array.from({ length: Math.min(50, left) }, () => caller.get('/sessions'))
        for (const { status } of await Promise.all(calls)) counts.set(status, (counts.get(status) ?? 0) + 1)
      }
      return [counts.get(200) ?? 0, counts.get(429) ?? 0]
    }
    expect(await statuses(limit / 2)).toEqual([limit / 2, 0])
    await clock.advance(20_000)
    expect(await statuses(limit / 2 + 5)).toEqual([limit / 2, 5])
    const refused = await caller.get('/sessions')
    expect(refused.headers.get('retry-after')).toBe('40')
    expect(refused.headers.get('ratelimit-limit')).toBe(String(limit))
    await clock.advance(39_999)
    expect(await statuses(1)).toEqual([0, 1])
    await clock.advance(1) // the first half has left the window, the second has not
    expect(await statuses(limit / 2 + 1)).toEqual([limit / 2, 1])
  })

  test('enterprise: the limit of the key', async () => {
    const limited = live.with(await keyOf({ mode: 'live', plan: 'enterprise', rpm: 7 }))
    for (let left = 6; left >= 0; left -= 1) {
      const { status, headers } = await limited.get('/sessions')
      expect([status, headers.get('ratelimit-limit'), headers.get('ratelimit-remaining')]).toEqual([
        200,
        '7',
        String(left),
      ])
    }
    expectError(await limited.get('/sessions'), 429, 'rate_limited')
  })

  test('apply to each key separately', async () => {
    const options = { mode: 'live', plan: 'free', rpm: 1 } as const
    const [a, b] = [live.with(await keyOf(options)), live.with(await keyOf(options))]
    await a.get('/sessions')
    expect([(await a.get('/sessions')).status, (await b.get('/sessions')).status]).toEqual([429, 200])
  })

  test('count a request whatever its answer, and a stream once', async () => {
    const limited = live.with(await keyOf({ mode: 'test', plan: 'free', rpm: 6 }))
    const agentId = await limited.agent()
    await using _ = await limited.stream(agentId)
    expectError(await limited.get('/nowhere'), 404, 'not_found')
    expectError(await limited.send('PUT', '/sessions'), 405, 'not_found')
    expectFields(await limited.post('/sessions', {}), 'userId')
    expectError(await limited.get('/sessions'), 429, 'rate_limited')
  })
})
