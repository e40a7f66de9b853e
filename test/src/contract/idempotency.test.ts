// The `Idempotency-Key` header (contract, Basics).
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ServerTestClock } from '../support/clock.ts'
import { root, startServer } from '../support/server-process.ts'
import { CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'
import { metricOf } from '../support/metrics.ts'

let server: ListeningTheazo
let live: CheckedCaller
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, live, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

/** Headers with a new key, or with this key. */
const keyed = (key: string = crypto.randomUUID()) => ({ 'idempotency-key': key })

function expectReason(answer: { status: number; body: { error: { details?: unknown } } }, reason: string): void {
  expect([answer.status, answer.body.error.details]).toEqual([409, { reason }])
}

describe('a second request with the same key and the same body', () => {
  test.each<[string, (ids: { sessionId: string; agentId: string }) => [path: string, body: unknown, status: number]]>([
    ['a session', () => ['/sessions', { userId: 'u', metadata: { a: 1 } }, 201]],
    ['a session by user', () => ['/sessions/by-user/keyed', {}, 200]],
    ['an agent', ({ sessionId }) => [`/sessions/${sessionId}/agents`, {}, 201]],
    ['a task', ({ agentId }) => [`/agents/${agentId}/run`, { task: 'theazo:hang' }, 202]],
    ['an exec', ({ agentId }) => [`/agents/${agentId}/exec`, { lang: 'bash', code: 'echo hi' }, 200]],
    ['a pause', ({ agentId }) => [`/agents/${agentId}/pause`, undefined, 200]],
    ['an end', ({ agentId }) => [`/agents/${agentId}/terminate`, {}, 200]],
    ['an end of a session', ({ sessionId }) => [`/sessions/${sessionId}/terminate`, {}, 200]],
  ])('returns the first answer: %s', async (_what, call) => {
    const sessionId = await mocked.session()
    const [path, body, status] = call({ sessionId, agentId: await mocked.agent({}, sessionId) })
    const headers = keyed()
    const first = await mocked.post(path, body, headers)
    expect(first.status).toBe(status)
    for (const _ of [1, 2]) {
      const again = await mocked.post(path, body, headers)
      expect([again.status, again.body]).toEqual([status, first.body])
      expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
    }
  })

  test('creates nothing and runs no code again; without a key it does', async () => {
    const own = live.with((await server.keys.create({ mode: 'live', plan: 'enterprise', project: 'once' })).key)
    const sessions = async (): Promise<number> => (await own.get('/sessions')).body.data.length
    const headers = keyed()
    for (const _ of [1, 2, 3]) await own.post('/sessions', { userId: 'u' }, headers)
    expect(await sessions()).toBe(1)
    for (const _ of [1, 2]) await own.post('/sessions', { userId: 'u' })
    expect(await sessions()).toBe(3)

    const agentId = await own.agent()
    const count = async (with_: Record<string, string>) =>
      (await own.exec(agentId, 'bash', 'echo x >> runs; wc -l < runs', with_)).body.stdout
    const one = keyed()
    expect([await count(one), await count(one)]).toEqual(['1\n', '1\n'])
    expect([await count({}), await count({})]).toEqual(['2\n', '3\n'])
  })

  test('waits while the first is in progress', async () => {
    const agentId = await live.agent()
    const code = 'touch started; until [[ -e go ]]; do sleep 0.02; done; echo x >> runs; wc -l < runs'
    const headers = keyed()
    const both = [live.exec(agentId, 'bash', code, headers), live.exec(agentId, 'bash', code, headers)]
    await live.exec(agentId, 'bash', 'until [[ -e started ]]; do sleep 0.02; done; touch go')
    const [first, second] = await Promise.all(both)
    expect(first?.body).toMatchObject({ stdout: '1\n', exitCode: 0 })
    expect(second?.body).toEqual(first?.body)
  })

  test('creates one session if a hundred callers send it at the same time', async () => {
    const headers = keyed()
    const calls = Array.from({ length: 100 }, () => mocked.post('/sessions', { userId: 'many' }, headers))
    expect(new Set((await Promise.all(calls)).map(({ body }) => body.id)).size).toBe(1)
  })

  test('is a different request if the API key is different', async () => {
    const other = mocked.with((await server.keys.create({ mode: 'test', plan: 'free' })).key)
    const headers = keyed()
    const [a, b] = [mocked, other].map((caller) => caller.post('/sessions', { userId: 'u' }, headers))
    expect((await a)?.body.id).not.toBe((await b)?.body.id)
  })

  test('returns the first answer for a day', async () => {
    const clock = new ServerTestClock('2025-05-01T00:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const caller = await CheckedCaller.to(fresh, (await fresh.keys.create({ mode: 'test', plan: 'enterprise' })).key)
    const headers = keyed()
    const create = async (): Promise<string> => (await caller.post('/sessions', { userId: 'u' }, headers)).body.id
    const first = await create()
    await clock.advance(24 * 3_600_000)
    expect(await create()).toBe(first)
    await clock.advance(1)
    const second = await create()
    expect(second).not.toBe(first)
    expect(await create()).toBe(second)
  })
})

describe('the same key with another request is 409', () => {
  test('with a different body or path', async () => {
    const headers = keyed()
    const { body } = await mocked.post('/sessions', { userId: 'a' }, headers)
    expectError(await mocked.post('/sessions', { userId: 'b' }, headers), 409, 'conflict')
    expectError(await mocked.post('/sessions/by-user/a', { userId: 'a' }, headers), 409, 'conflict')
    expect((await mocked.post('/sessions', { userId: 'a' }, headers)).body).toEqual(body) // the first answer is still stored
  })

  test('also while the first is in progress: the second waits for it', async () => {
    const agentId = await mocked.agent()
    const headers = keyed()
    const first = mocked.exec(agentId, 'bash', 'echo a # theazo:delay=300 theazo:stdout=a', headers)
    const second = mocked.exec(agentId, 'bash', 'echo b', headers)
    const statuses = (await Promise.all([first, second])).map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([200, 409]) // either may come first
  })
})

describe('an error answer', () => {
  test('4xx is stored: 409, whatever has changed since', async () => {
    const agentId = await mocked.agent()
    await mocked.post(`/agents/${agentId}/pause`)
    const headers = keyed()
    const exec = (with_: Record<string, string>) => mocked.exec(agentId, 'bash', 'echo hi', with_)
    const first = await exec(headers)
    expectError(first, 409, 'conflict')
    await mocked.post(`/agents/${agentId}/resume`)
    const again = await exec(headers)
    expectError(again, 409, 'conflict')
    expect(again.body.error.message).toBe(first.body.error.message)
    expect((await exec(keyed())).status).toBe(200)
  })

  test('4xx is stored: also 404 and 422, and the same key with a corrected body is a conflict', async () => {
    const [unknown, invalid] = [keyed(), keyed()]
    for (const _ of [1, 2]) {
      expectError(await mocked.post('/agents/agt_none/pause', {}, unknown), 404, 'not_found')
      expectFields(await mocked.post('/sessions', {}, invalid), 'userId')
    }
    expectError(await mocked.post('/sessions', { userId: 'u' }, invalid), 409, 'conflict')
  })

  test('401 is not stored', async () => {
    const headers = keyed()
    expectError(await mocked.with('th_test_none').post('/sessions', { userId: 'u' }, headers), 401, 'unauthorized')
    expect((await mocked.post('/sessions', { userId: 'u' }, headers)).status).toBe(201)
  })

  test('402 is not stored: the same request succeeds with a higher limit', async () => {
    const sessionId = await mocked.session({ limits: { maxAgents: 0 } })
    const [path, headers] = [`/sessions/${sessionId}/agents`, keyed()]
    expectError(await mocked.post(path, {}, headers), 402, 'session_limit_exceeded')
    await mocked.patch(`/sessions/${sessionId}`, { limits: { maxAgents: 1 } })
    const { status, body } = await mocked.post(path, {}, headers)
    expect(status).toBe(201)
    expect((await mocked.post(path, {}, headers)).body).toEqual(body)
  })

  test('429 is not stored: the same request succeeds after the wait', async () => {
    const clock = new ServerTestClock('2025-05-01T00:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const caller = await CheckedCaller.to(fresh, (await fresh.keys.create({ mode: 'test', plan: 'free', rpm: 1 })).key)
    await caller.get('/sessions')
    const headers = keyed()
    expectError(await caller.post('/sessions', { userId: 'u' }, headers), 429, 'rate_limited')
    await clock.advance(60_000)
    expect((await caller.post('/sessions', { userId: 'u' }, headers)).status).toBe(201)
  })

  test('5xx is never stored: the same request is executed again', async () => {
    await using short = await listenTheazo({ port: 0, execTimeoutMs: 3000 })
    const caller = await CheckedCaller.to(short, short.apiKey)
    const agentId = await caller.agent()
    const headers = keyed()
    const code = 'if [[ -e tried ]]; then echo again; else touch tried; sleep 60; fi'
    expectError(await caller.exec(agentId, 'bash', code, headers), 504, 'timeout')
    expect((await caller.exec(agentId, 'bash', code, headers)).body.stdout).toBe('again\n')
  })

  test.each(['internal_error', 'provider_error'])('%s leaves the key free for another body', async (code) => {
    const agentId = await mocked.agent()
    const headers = keyed()
    expect((await mocked.exec(agentId, 'bash', `# theazo:error=${code}`, headers)).status).toBeGreaterThanOrEqual(500)
    expect((await mocked.exec(agentId, 'bash', 'echo hi', headers)).body.stdout).toBe('hi\n')
  })
})

describe('an interrupted exec', () => {
  test('is never run again after a disconnect', async () => {
    const agentId = await live.agent()
    const code = 'echo x >> runs; touch started; sleep 300'
    const headers = keyed()
    const abort = new AbortController()
    const body = JSON.stringify({ lang: 'bash', code })
    const cut = live.send('POST', `/agents/${agentId}/exec`, body, { headers, signal: abort.signal })
    const ended = cut.catch((error: unknown) => error)
    await live.exec(agentId, 'bash', 'until [[ -e started ]]; do sleep 0.02; done')
    abort.abort()
    expect(await ended).toMatchObject({ name: 'AbortError' })
    for (const _ of [1, 2]) expectReason(await live.exec(agentId, 'bash', code, headers), 'interrupted')
    expect((await live.exec(agentId, 'bash', 'cat runs')).body.stdout).toBe('x\n')
  })

  test('is never run again with a test key either', async () => {
    const agentId = await mocked.agent()
    const headers = keyed()
    const abort = new AbortController()
    const body = { lang: 'bash', code: '# theazo:delay=600000' }
    const cut = mocked.send('POST', `/agents/${agentId}/exec`, JSON.stringify(body), { headers, signal: abort.signal })
    const ended = cut.catch((error: unknown) => error)
    await expect.poll(() => execsInFlight(), { timeout: 20_000 }).toBe(1)
    abort.abort()
    expect(await ended).toMatchObject({ name: 'AbortError' })
    expectReason(await mocked.post(`/agents/${agentId}/exec`, body, headers), 'interrupted')
  })
})

const execsInFlight = (): Promise<number> => metricOf(server.url, 'theazo_execs_running')

describe('an answer over 1 MiB', () => {
  const print = (sizeBytes: number) => `echo x >> runs; head -c ${sizeBytes} /dev/zero | tr '\\0' x`

  test('is returned but not stored: the code is not run again', async () => {
    const agentId = await live.agent()
    const headers = keyed()
    const { status, body } = await live.exec(agentId, 'bash', print(1024 * 1024), headers)
    expect([status, body.stdout.length]).toEqual([200, 1024 * 1024])
    for (const _ of [1, 2]) {
      expectReason(await live.exec(agentId, 'bash', print(1024 * 1024), headers), 'not_kept')
    }
    expect((await live.exec(agentId, 'bash', 'cat runs')).body.stdout).toBe('x\n')
  })

  test('is stored if it is just below the limit', async () => {
    const agentId = await live.agent()
    const headers = keyed()
    const code = print(1024 * 1024 - 200)
    const first = await live.exec(agentId, 'bash', code, headers)
    const again = await live.exec(agentId, 'bash', code, headers)
    expect(again.status).toBe(200)
    expect(again.body.stdout === first.body.stdout && again.body.durationMs === first.body.durationMs).toBe(true)
    expect((await live.exec(agentId, 'bash', 'cat runs')).body.stdout).toBe('x\n')
  })
})

describe('the key', () => {
  test.each(['x'.repeat(256), 'with space', 'é'])('%j is refused with the name of the header', async (key) => {
    expectFields(await mocked.post('/sessions', { userId: 'u' }, keyed(key)), 'idempotency-key')
  })

  test('may have 255 characters, and is ignored on GET and PATCH', async () => {
    const headers = keyed('x'.repeat(255))
    const { body } = await mocked.post('/sessions', { userId: 'u' }, headers)
    expect((await mocked.get(`/sessions/${body.id}`, headers)).body).toEqual(body)
    for (const n of [1, 2]) {
      const change = JSON.stringify({ metadata: { n } })
      const patched = await mocked.send('PATCH', `/sessions/${body.id}`, change, { headers })
      expect(patched.body.metadata).toEqual({ n })
    }
  })
})

describe('after a restart', () => {
  let dataDir: string
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'theazo-idempotency-'))
  })
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

  test('answers are still stored, also errors and answers that were too large', async () => {
    const [created, refused, large] = [keyed(), keyed(), keyed()]
    const code = `echo x >> runs; head -c 1100000 /dev/zero | tr '\\0' x`
    let [key, agentId, sessionId] = ['', '', '']
    {
      await using first = await listenTheazo({ port: 0, dataDir })
      const caller = await CheckedCaller.to(first, first.apiKey)
      key = caller.key
      agentId = await caller.agent()
      sessionId = (await caller.post('/sessions', { userId: 'u' }, created)).body.id
      expectError(await caller.post('/agents/agt_none/pause', {}, refused), 404, 'not_found')
      expect((await caller.exec(agentId, 'bash', code, large)).status).toBe(200)
    }
    await using second = await listenTheazo({ port: 0, dataDir })
    const caller = await CheckedCaller.to(second, key)
    expect((await caller.post('/sessions', { userId: 'u' }, created)).body.id).toBe(sessionId)
    expectError(await caller.post('/sessions', { userId: 'v' }, created), 409, 'conflict')
    expectError(await caller.post('/agents/agt_none/pause', {}, refused), 404, 'not_found')
    expectReason(await caller.exec(agentId, 'bash', code, large), 'not_kept')
    expect((await caller.exec(agentId, 'bash', 'cat runs')).body.stdout).toBe('x\n')
  })

  test.each(['SIGTERM', 'SIGKILL'] as const)('an exec that %s interrupted is never run again', async (signal) => {
    const bin = join(root, 'packages/server/dist/bin.js')
    const start = () =>
      startServer(process.execPath, [
        bin,
        'serve',
        '--port',
        '0',
        '--data-dir',
        dataDir,
        '--drain-seconds',
        '0',
        '--json',
      ])
    const code = 'echo x >> runs; touch started; sleep 300'
    const headers = keyed()
    const first = await start()
    const caller = await CheckedCaller.to(first, first.apiKey)
    const agentId = await caller.agent()
    const cut = caller.exec(agentId, 'bash', code, headers).then(
      ({ status }) => status,
      () => 'lost',
    )
    await caller.exec(agentId, 'bash', 'until [[ -e started ]]; do sleep 0.02; done')
    first.child.kill(signal)
    await first.ended
    expect([502, 'lost']).toContain(await cut)

    await using second = await start()
    const next = await CheckedCaller.to(second, second.apiKey)
    for (const _ of [1, 2]) expectReason(await next.exec(agentId, 'bash', code, headers), 'interrupted')
    expect((await next.exec(agentId, 'bash', 'cat runs')).body.stdout).toBe('x\n')
  })
})
