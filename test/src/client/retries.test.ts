// Retries of the client: which requests, when, and which never. Over a real socket to a server with faults.
import { type Agent, type Session, Theazo, TheazoError, type TheazoOptions } from '@theazo/core'
import { describe, expect, test } from 'vitest'
import {
  answer,
  closeBeforeAnswer,
  envelope,
  eventStream,
  type Fault,
  garbage,
  page,
  resetBeforeAnswer,
  resetMidBody,
  stallBeforeHead,
  stallMidBody,
} from './faults.ts'
import { collect } from '../support/collect.ts'
import { errorOf as thrownBy } from '../support/error-of.ts'
import { allFeatures, type FaultServer, startFaultServer } from './fault-server.ts'
import { callerAbort, watchLeaks } from './leaks.ts'
import { ClientTestClock } from '../support/clock.ts'

watchLeaks()

const withoutIdempotency = allFeatures.filter((name) => name !== 'idempotency')

interface Setting extends AsyncDisposable {
  server: FaultServer
  clock: ClientTestClock
  theazo: Theazo
  session: Session
  agent: Agent
}

/** A server, and a client that already knows its extensions and has a session and an agent. */
async function start(features = allFeatures, options: TheazoOptions = {}): Promise<Setting> {
  const server = await startFaultServer({ features })
  const clock = new ClientTestClock()
  const theazo = new Theazo({ ...server.options, clock, ...options })
  const session = await theazo.sessions.create({ userId: 'u' })
  const agent = await session.agents.create()
  server.requests.length = 0
  return { server, clock, theazo, session, agent, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

async function errorOf(promise: Promise<unknown>): Promise<TheazoError> {
  return (await thrownBy(promise)) as TheazoError // each test checks its class
}

type Cause = 'not_sent' | 'rate_limited' | 'lost' | 'unavailable' | 'internal' | 'final'
type Safety = 'safe' | 'keyed' | 'unsafe'

// A deliberate second copy of the retry table.
const mayRepeat: Record<Cause, Record<Safety, boolean>> = {
  not_sent: { safe: true, keyed: true, unsafe: true },
  rate_limited: { safe: true, keyed: true, unsafe: true },
  lost: { safe: true, keyed: true, unsafe: false },
  unavailable: { safe: true, keyed: true, unsafe: false },
  internal: { safe: true, keyed: false, unsafe: false },
  final: { safe: false, keyed: false, unsafe: false },
}

const answered: [Cause, string, Fault][] = [
  ['rate_limited', '429', envelope(429, 'rate_limited')],
  ['rate_limited', '429 of a proxy', page(429)],
  ['lost', 'a reset before the answer', resetBeforeAnswer],
  ['lost', 'a close before the answer', closeBeforeAnswer],
  ['lost', 'a reset in the body', resetMidBody],
  ['lost', 'bytes that are no HTTP', garbage],
  ['unavailable', '502', envelope(502, 'provider_error')],
  ['unavailable', '502 of a proxy', page(502)],
  ['unavailable', '503', envelope(503, 'unavailable')],
  ['unavailable', '503 with an empty body', answer(503)],
  ['unavailable', '504 of a proxy', page(504)],
  ['internal', '500', envelope(500, 'internal_error')],
  ['internal', '500 of a proxy', page(500)],
  ['final', '400', envelope(400, 'bad_request')],
  ['final', '401', envelope(401, 'unauthorized')],
  ['final', '402', envelope(402, 'session_limit_exceeded')],
  ['final', '403', envelope(403, 'forbidden')],
  ['final', '404', envelope(404, 'not_found')],
  ['final', '409', envelope(409, 'conflict')],
  ['final', '422', envelope(422, 'unprocessable_entity')],
  ['final', "the server's own 504", envelope(504, 'timeout')],
  ['final', 'a redirect', answer(307, '', { location: 'http://127.0.0.1:1/' })],
  ['final', 'a 200 of a proxy', page(200)],
  ['final', 'an empty 200', answer(200)],
  ['final', '204', answer(204)],
  ['final', 'a cut 200', answer(200, '{"id":"agt')],
]

type Call = (setting: Setting) => Promise<unknown>

const calls: [Safety, string, readonly (typeof allFeatures)[number][], Call][] = [
  ['safe', 'GET', allFeatures, ({ theazo, agent }) => theazo.agents.get(agent.id)],
  ['safe', 'GET of a bare server', [], ({ theazo }) => theazo.sessions.list().page()],
  ['safe', 'by-user', withoutIdempotency, ({ theazo }) => theazo.sessions.forUser('u')],
  ['safe', 'terminate', withoutIdempotency, ({ agent }) => agent.terminate()],
  ['safe', 'terminate of a session', withoutIdempotency, ({ session }) => session.terminate()],
  ['keyed', 'exec', allFeatures, ({ agent }) => agent.exec('bash', 'ls')],
  ['keyed', 'creating a session', allFeatures, ({ theazo }) => theazo.sessions.create({ userId: 'v' })],
  ['keyed', 'creating an agent', allFeatures, ({ session }) => session.agents.create()],
  ['keyed', 'pause', allFeatures, ({ agent }) => agent.pause()],
  ['unsafe', 'exec', withoutIdempotency, ({ agent }) => agent.exec('bash', 'ls')],
  ['unsafe', 'creating a session', withoutIdempotency, ({ theazo }) => theazo.sessions.create({ userId: 'v' })],
  ['unsafe', 'creating an agent', withoutIdempotency, ({ session }) => session.agents.create()],
  ['unsafe', 'pause', withoutIdempotency, ({ agent }) => agent.pause()],
  ['unsafe', 'PATCH', allFeatures, ({ session }) => session.update({ metadata: { a: 1 } })],
]

describe.each(calls)('a call that is %s: %s', (safety, _name, features, call) => {
  const cells = answered.map(([cause, name, fault]) => ({ verb: verb(cause, safety), name, cause, fault }))

  test.each(cells)('$verb after $name', async ({ cause, fault }) => {
    await using setting = await start(features)
    const { server, clock } = setting
    server.fault(fault)
    const outcome = await call(setting).then(
      () => 'done',
      (error: unknown) => error,
    )
    if (mayRepeat[cause][safety]) expect(outcome).toBe('done')
    else expect(TheazoError.isInstance(outcome)).toBe(true)
    const attempts = mayRepeat[cause][safety] ? 2 : 1
    expect([server.requests.length, clock.sleeps.length]).toEqual([attempts, attempts - 1])
    expect(new Set(server.requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
  })

  test(`${verb('not_sent', safety)} after a refused connection`, async () => {
    await using setting = await start(features)
    const { server, clock } = setting
    await server.refuse()
    clock.whileAsleep = () => server.listen()
    await call(setting)
    expect([server.requests.length, clock.sleeps.length]).toEqual([1, 1])
  })
})

function verb(cause: Cause, safety: Safety): string {
  return mayRepeat[cause][safety] ? 'is sent again' : 'is not sent again'
}

describe('exec is sent exactly once if the server has not shown the idempotency extension', () => {
  const faults: [string, Fault][] = [
    ...answered.filter(([cause]) => cause !== 'rate_limited').map(([, name, fault]): [string, Fault] => [name, fault]),
    ['a stall before the response', stallBeforeHead],
    ['a stall during the body', stallMidBody],
    ['a stream that ends before the exit', eventStream('event: stdout\ndata: {"text":"a"}\n\n')],
    ['a stream that is reset', eventStream('event: stdout\ndata: {"text":"a"}\n\n', 'reset')],
    ['a stream that stalls', eventStream('event: stdout\ndata: {"text":"a"}\n\n', 'stall')],
    ['a stream without a byte', eventStream('')],
    ['a stream with invalid JSON', eventStream('event: stdout\ndata: {"te\n\n')],
    ['an error in the stream', eventStream('event: error\ndata: {"code":"provider_error","message":"gone"}\n\n')],
  ]
  const options = { timeoutMs: 150 }
  const ways: [string, (agent: Agent) => Promise<unknown>][] = [
    ['alone', (agent) => agent.exec('bash', 'ls', options)],
    ['with callbacks', (agent) => agent.exec('bash', 'ls', { ...options, onStdout: () => {}, onStderr: () => {} })],
    ['as a stream', (agent) => collect(agent.execStream('bash', 'ls', options))],
  ]

  describe.each(ways)('%s', (_way, exec) => {
    test.each(faults)('after %s', async (_name, fault) => {
      await using setting = await start(withoutIdempotency)
      const { server, agent } = setting
      server.fault(fault)
      await exec(agent).catch((error: unknown) => expect(TheazoError.isInstance(error)).toBe(true))
      expect(server.arrived('POST', '/exec')).toHaveLength(1)
      expect(server.api.execs.length).toBeLessThanOrEqual(1)
    })
  })

  test('also by a client that has not received a response yet', async () => {
    await using setting = await start(allFeatures)
    const { server, clock, agent } = setting
    server.fault(resetBeforeAnswer)
    const fresh = new Theazo({ ...server.options, clock })
    await expect(fresh.agent(agent.id).exec('bash', 'ls')).rejects.toMatchObject({ code: 'connection_error' })
    expect(server.api.execs).toEqual(['ls'])
  })

  test('also if the server no longer shows it', async () => {
    await using setting = await start(allFeatures)
    const { server, agent } = setting
    server.api.features = withoutIdempotency
    await agent.refresh()
    server.fault(resetBeforeAnswer)
    await expect(agent.exec('bash', 'ls')).rejects.toMatchObject({ code: 'connection_error' })
    expect(server.api.execs).toEqual(['ls'])
  })
})

test('if the server has shown the idempotency extension, an exec with a lost response is retried and runs once', async () => {
  await using setting = await start()
  const { server, agent } = setting
  server.fault(resetMidBody, { times: 2 })
  expect((await agent.exec('bash', 'ls')).stdout).toBe('ls\n')
  expect(server.arrived('POST', '/exec')).toHaveLength(3)
  expect(server.api.execs).toEqual(['ls'])
})

test('an exec that has started to stream is not retried, with or without idempotency', async () => {
  await using setting = await start()
  const { server, agent } = setting
  const seen: string[] = []
  server.fault(eventStream('event: stdout\ndata: {"text":"a"}\n\n', 'reset'))
  const exec = agent.exec('bash', 'ls', { onStdout: (text) => seen.push(text) })
  await expect(exec).rejects.toMatchObject({ code: 'connection_error' })
  expect([seen, server.requests.length]).toEqual([['a'], 1])
})

describe('an error that a callback of exec throws', () => {
  class Odd extends Error {
    readonly code = 'EPIPE'
  }

  test.each([
    ['a plain error', new Error('mine'), allFeatures],
    ['a TypeError', new TypeError('x is undefined'), allFeatures],
    ['a TypeError, of a server that does not stream', new TypeError('x is undefined'), ['idempotency'] as const],
    ['an error with a code', new Odd('mine'), allFeatures],
  ])('reaches the caller unchanged, and nothing is sent again: %s', async (_name, thrown, features) => {
    await using setting = await start(features)
    const { server, agent } = setting
    let calls = 0
    const onStdout = (): never => {
      calls += 1
      throw thrown
    }
    expect(await errorOf(agent.exec('bash', 'ls', { onStdout }))).toBe(thrown)
    expect([calls, server.requests.length]).toEqual([1, 1])
  })
})

describe('the idempotency key', () => {
  test('is the same for all attempts of a call, and new for each call', async () => {
    await using setting = await start()
    const { server, agent } = setting
    server.fault(envelope(503, 'unavailable'), { times: 2 })
    await agent.exec('bash', 'one')
    await agent.exec('bash', 'two')
    const keys = server.requests.map(({ headers }) => headers['idempotency-key'])
    expect(keys).toEqual([keys[0], keys[0], keys[0], keys[3]])
    expect(keys[0]).toMatch(/^[\x21-\x7e]{16,255}$/)
    expect(keys[3]).not.toBe(keys[0])
  })

  test('can be set by the caller', async () => {
    await using setting = await start()
    const { server, agent, theazo, session } = setting
    const idempotencyKey = 'mine'
    await agent.exec('bash', 'ls', { idempotencyKey })
    await theazo.sessions.create({ userId: 'w', idempotencyKey: 'other' })
    await session.agents.create({ idempotencyKey: 'third' })
    expect(server.requests.map(({ headers }) => headers['idempotency-key'])).toEqual(['mine', 'other', 'third'])
    expect(server.requests.map(({ body }) => Object.keys(body as object))).not.toContain('idempotencyKey')
  })

  test('is sent with every POST, whatever extensions the server has, and with no other method', async () => {
    await using setting = await start(withoutIdempotency)
    const { server, agent, session, theazo } = setting
    await theazo.sessions.forUser('u')
    await agent.pause()
    await agent.resume()
    await agent.run('do').result()
    await session.update({ metadata: {} })
    await session.terminate()
    for (const { method, path, headers } of server.requests) {
      expect([method, path, 'idempotency-key' in headers]).toEqual([method, path, method === 'POST'])
    }
  })
})

describe('Retry-After', () => {
  const date = new Date(Date.now() + 7000)

  test.each([
    ['in seconds', { 'retry-after': '7' }, undefined, 7000],
    ['of 0', { 'retry-after': '0' }, undefined, 0],
    ['in the details', {}, { retryAfter: 7 }, 7000],
    ['in the details, of a fraction', {}, { retryAfter: 0.25 }, 250],
    ['in both (the header counts)', { 'retry-after': '3' }, { retryAfter: 7 }, 3000],
    ['in the past', { 'retry-after': new Date(0).toUTCString() }, undefined, 0],
    ['of 60 s, the maximum', { 'retry-after': '60' }, undefined, 60_000],
  ])('%s is obeyed', async (_name, headers, details, waitMs) => {
    await using setting = await start(allFeatures, { timeoutMs: 90_000 })
    const { server, clock, theazo, agent } = setting
    server.fault(
      envelope(429, 'rate_limited', { headers: headers as Record<string, string>, ...(details && { details }) }),
    )
    await theazo.agents.get(agent.id)
    expect(clock.sleeps).toEqual([waitMs])
  })

  test("as an HTTP date is obeyed, by the server's own clock", async () => {
    await using setting = await start()
    const { server, clock, theazo, agent } = setting
    // The server's clock differs by one hour.
    const [now, then] = [3_600_000, 3_607_000].map((ms) => new Date(date.getTime() + ms).toUTCString())
    server.fault(envelope(503, 'unavailable', { headers: { date: now ?? '', 'retry-after': then ?? '' } }))
    await theazo.agents.get(agent.id)
    expect(clock.sleeps).toEqual([7000])
  })

  test.each([
    ['beyond a minute', '61', { timeoutMs: 120_000 }, 61_000],
    ['beyond the deadline', '30', { timeoutMs: 20_000 }, 30_000],
  ])('%s fails immediately, and the error contains the wait', async (_name, seconds, options, retryAfterMs) => {
    await using setting = await start()
    const { server, clock, theazo, agent } = setting
    server.fault(envelope(429, 'rate_limited', { headers: { 'retry-after': seconds } }))
    expect(await errorOf(theazo.agents.get(agent.id, options))).toMatchObject({
      name: 'RateLimitedError',
      isRetryable: true,
      retryAfterMs,
    })
    expect([server.requests.length, clock.sleeps]).toEqual([1, []])
  })

  test('waits are added up, and a wait beyond the deadline fails immediately', async () => {
    await using setting = await start(allFeatures, { maxRetries: 10 })
    const { server, clock, theazo, agent } = setting
    server.fault(envelope(429, 'rate_limited', { headers: { 'retry-after': '9' } }), { times: 10 })
    expect(await errorOf(theazo.agents.get(agent.id, { timeoutMs: 20_000 }))).toMatchObject({ status: 429 })
    expect(clock.sleeps).toEqual([9000, 9000])
  })

  test.each(['soon', '1.5', '-1', ''])('with an invalid value is ignored: %j', async (value) => {
    await using setting = await start()
    const { server, clock, theazo, agent } = setting
    server.fault(envelope(429, 'rate_limited', { headers: { 'retry-after': value }, details: { retryAfter: 4 } }))
    await theazo.agents.get(agent.id)
    expect(clock.sleeps).toEqual([4000])
  })
})

describe('backoff', () => {
  test.each([
    [0, [0, 0, 0, 0, 0, 0]],
    [0.5, [250, 500, 1000, 2000, 4000, 4000]],
    [0.999_999, [500, 1000, 2000, 4000, 8000, 8000]],
  ])('is a random wait below a limit that doubles up to 8 s: random value %d', async (random, delays) => {
    const clock = new ClientTestClock(random)
    await using setting = await start(allFeatures, { clock, maxRetries: 6, timeoutMs: 60_000 })
    const { server, theazo, agent } = setting
    server.fault(envelope(503, 'unavailable'), { times: 6 })
    await theazo.agents.get(agent.id)
    expect(clock.sleeps.map(Math.round)).toEqual(delays)
  })

  test('ends after two retries, with the last error', async () => {
    await using setting = await start()
    const { server, theazo, agent } = setting
    server.fault(page(502), { times: 2 })
    server.fault(envelope(503, 'unavailable'))
    expect(await errorOf(theazo.agents.get(agent.id))).toMatchObject({ status: 503, code: 'unavailable' })
    expect(server.requests).toHaveLength(3)
  })

  test('that meets a conflict for the key of a lost exec rejects with the first error', async () => {
    await using setting = await start()
    const { server, agent } = setting
    server.fault(envelope(502, 'provider_error', { message: 'The sandbox broke down.' }))
    server.fault(envelope(409, 'conflict', { details: { reason: 'interrupted' } }))
    expect(await errorOf(agent.exec('bash', 'true'))).toMatchObject({ name: 'ProviderError', status: 502 })
  })

  test('that no longer reaches the server rejects with the error of the first response', async () => {
    await using setting = await start()
    const { server, agent } = setting
    const details = { stdout: 'so far' }
    server.fault(envelope(502, 'provider_error', { details }))
    server.fault(resetBeforeAnswer, { times: 2 })
    const error = await errorOf(agent.exec('bash', 'true'))
    expect(error).toMatchObject({ name: 'ProviderError', status: 502, details })
    expect(server.requests).toHaveLength(3)
  })

  test('does not happen with maxRetries 0', async () => {
    await using setting = await start(allFeatures, { maxRetries: 0 })
    const { server, theazo, agent } = setting
    server.fault(envelope(429, 'rate_limited', { headers: { 'retry-after': '1' } }))
    expect(await errorOf(theazo.agents.get(agent.id))).toMatchObject({ retryAfterMs: 1000 })
    expect(server.requests).toHaveLength(1)
  })

  test('is ended immediately by an abort, with its reason', async () => {
    const abort = callerAbort()
    const reason = new Error('changed my mind')
    await using setting = await start()
    const { server, clock, theazo, agent } = setting
    server.fault(envelope(503, 'unavailable'))
    clock.whileAsleep = () => {
      abort.abort(reason)
      return new Promise(() => {})
    }
    expect(await errorOf(theazo.agents.get(agent.id, { signal: abort.signal }))).toBe(reason)
    expect(server.requests).toHaveLength(1)
  })

  test('on the real clock is ended immediately by an abort, and leaves no timer', async () => {
    const abort = callerAbort()
    const reason = new Error('changed my mind')
    await using setting = await start()
    const { server, agent } = setting
    server.fault(envelope(429, 'rate_limited', { headers: { 'retry-after': '20' } }))
    const hooks = { onRetry: () => setImmediate(() => abort.abort(reason)) }
    const theazo = new Theazo({ ...server.options, hooks })
    expect(await errorOf(theazo.agents.get(agent.id, { signal: abort.signal }))).toBe(reason)
    expect(server.requests).toHaveLength(1)
  })
})

test('an aborted signal sends nothing, whatever the call', async () => {
  await using setting = await start()
  const { server, theazo, session, agent } = setting
  const abort = callerAbort()
  const reason = new Error('before it began')
  abort.abort(reason)
  const { signal } = abort
  const run = agent.run('do', { signal })
  const outcomes = await Promise.allSettled([
    theazo.sessions.create({ userId: 'u', signal }),
    theazo.sessions.forUser('u', { signal }),
    theazo.sessions.list({ signal }).page(),
    collect(theazo.sessions.list({ signal })),
    theazo.usage.summary({ signal }),
    theazo.usage.summary({ signal, userId: 'u' }),
    session.update({ signal, metadata: {} }),
    session.agents.create({ signal, name: 'n', waitUntilReady: true }),
    agent.exec('bash', 'ls', { signal, stdin: 'x', env: {}, onStdout: () => {} }),
    collect(agent.execStream('bash', 'ls', { signal })),
    collect(agent.stream({ signal })),
    collect(run),
    run.result(),
    run.taskId,
    run.forward({}),
    agent.pause({ signal }),
    agent.terminate({ signal }),
    agent.tasks.get('task_1', { signal }),
    agent.files.readText('a', { signal }),
  ])
  expect(outcomes).toEqual(outcomes.map(() => ({ status: 'rejected', reason })))
  expect(server.requests).toEqual([])
})

describe('hooks', () => {
  test('are called for each attempt in order, without the key', async () => {
    const emitted: [string, Record<string, unknown>][] = []
    const hooks = {
      onRequest: (event: object) => emitted.push(['request', { ...event }]),
      onResponse: (event: object) => emitted.push(['response', { ...event }]),
      onRetry: (event: object) => emitted.push(['retry', { ...event }]),
    }
    await using setting = await start()
    const { server, clock, agent } = setting
    const theazo = new Theazo({ ...server.options, clock, hooks })
    server.fault(envelope(429, 'rate_limited', { message: `bad key ${server.apiKey}` }))
    server.fault(resetBeforeAnswer)
    await theazo.agents.get(agent.id)
    const url = `${server.url}/v1/agents/${agent.id}`
    const attempt = (number: number) => ({ method: 'GET', url, attempt: number })
    expect(emitted).toMatchObject([
      ['request', { ...attempt(1), headers: { accept: 'application/json' } }],
      ['response', { ...attempt(1), status: 429, requestId: 'req_1', durationMs: expect.any(Number) }],
      ['retry', { ...attempt(1), delayMs: 250, error: { code: 'rate_limited' } }],
      ['request', attempt(2)],
      ['retry', { ...attempt(2), delayMs: 500, error: { code: 'connection_error' } }],
      ['request', attempt(3)],
      ['response', { ...attempt(3), status: 200, requestId: 'req_3' }],
    ])
    expect(JSON.stringify(emitted)).not.toContain(server.apiKey)
    expect(emitted[0]?.[1]['headers']).toHaveProperty('authorization')
  })

  test('that modify their arguments, or throw, do not affect the call', async () => {
    await using setting = await start()
    const { server, clock, agent } = setting
    const fail = (): never => {
      throw new Error('a bug in a hook')
    }
    const onRequest = ({ headers }: { headers: Record<string, string> }): never => {
      headers['authorization'] = 'Bearer other'
      return fail()
    }
    server.fault(envelope(503, 'unavailable'))
    const theazo = new Theazo({ ...server.options, clock, hooks: { onRequest, onResponse: fail, onRetry: fail } })
    await theazo.agents.get(agent.id)
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${server.apiKey}`,
      `Bearer ${server.apiKey}`,
    ])
  })

  test('that are asynchronous and reject do not affect the call', async () => {
    await using setting = await start()
    const { server, agent } = setting
    const onRequest = () => Promise.reject(new Error('a bug in an asynchronous hook'))
    const unhandled: unknown[] = []
    const listen = (reason: unknown): unknown => unhandled.push(reason)
    process.on('unhandledRejection', listen)
    await new Theazo({ ...server.options, hooks: { onRequest } }).agents.get(agent.id)
    process.off('unhandledRejection', listen)
    expect(unhandled).toEqual([])
  })
})
