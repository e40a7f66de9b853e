// Every unexpected response becomes a typed error that states the reason and never contains the key.
import { getEventListeners, once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import * as core from '@theazo/core'
import { ServerTimeoutError, Session, Theazo, TheazoError, type TheazoOptions } from '@theazo/core'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { errorOf as thrownBy } from '../support/error-of.ts'
import {
  answer,
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
import { allFeatures, type FaultServer, startFaultServer } from './fault-server.ts'
import { callerAbort, watchLeaks } from './leaks.ts'
import { selfSigned } from '../support/self-signed.ts'
import { ClientTestClock } from '../support/clock.ts'

watchLeaks()

async function errorOf(promise: Promise<unknown>): Promise<TheazoError> {
  const error = await thrownBy(promise)
  if (!TheazoError.isInstance(error)) expect.fail(`not a TheazoError, but ${inspect(error)}`)
  return error
}

function client(server: FaultServer, options: TheazoOptions = {}): Theazo {
  return new Theazo({ ...server.options, clock: new ClientTestClock(), maxRetries: 0, ...options })
}

/** The error of one call to a server with this fault. */
async function errorAfter(fault: Fault, call: (theazo: Theazo) => Promise<unknown> = getAgent): Promise<TheazoError> {
  await using server = await startFaultServer()
  server.fault(fault)
  return await errorOf(call(client(server)))
}

const getAgent = (theazo: Theazo): Promise<unknown> => theazo.agents.get('agt_1')

test('reads the response of every endpoint as specified in the contract', async () => {
  await using server = await startFaultServer()
  const theazo = client(server)
  const first = await theazo.sessions.create({ userId: 'a', metadata: { plan: 'pro' } })
  const session = await theazo.sessions.forUser('a b/c')
  expect((await theazo.sessions.forUser('a b/c')).id).toBe(session.id)
  for (let n = 0; n < 5; n += 1) await theazo.sessions.create({ userId: `user ${n}` })
  expect((await collect(theazo.sessions.list({ limit: 3 }))).map(({ data }) => data.userId)).toEqual(
    ['a', 'a b/c', 'user 0', 'user 1', 'user 2', 'user 3', 'user 4'].toReversed(),
  )
  expect(server.arrived('GET', '/sessions').map(({ query }) => query.get('cursor'))).toEqual([null, '3', '6'])
  expect(await collect(theazo.sessions.list({ userId: 'a' }))).toMatchObject([{ id: first.id }])
  expect((await session.update({ limits: { maxAgents: 2 }, metadata: { a: null, b: 1 } })).data).toMatchObject({
    limits: { maxAgents: 2 },
    metadata: { b: 1 },
  })
  expect((await theazo.sessions.get(session.id)).data.userId).toBe('a b/c')

  const agent = await session.agents.create({ name: 'box', tools: ['run_code'], timeoutSeconds: 60 })
  expect([agent.isNew, agent.data.timeout]).toEqual([true, 60])
  expect(await session.agents.create({ name: 'box' })).toMatchObject({ id: agent.id, isNew: false })
  expect(await collect(session.agents.list({ status: 'idle', name: 'box' }))).toMatchObject([{ id: agent.id }])
  expect(await agent.exec('bash', 'cat', { stdin: 'é' })).toMatchObject({ stdout: 'é', exitCode: 0 })
  expect(await agent.exec('bash', 'cat', { stdin: new TextEncoder().encode('é') })).toMatchObject({ stdout: 'é' })
  expect(await collect(agent.execStream('bash', 'ls'))).toMatchObject([
    { type: 'stdout', text: 'ls\n' },
    { type: 'stderr', text: 'done\n' },
    { type: 'exit', result: { stdout: 'ls\n', stderr: 'done\n', exitCode: 0 } },
  ])
  const run = agent.run('add')
  expect(await run.result()).toEqual({
    taskId: await run.taskId,
    output: 'It is 2.',
    cost: { amount: 3, currency: 'usd' },
  })
  expect(await agent.tasks.get(await run.taskId)).toMatchObject({ status: 'completed', output: 'It is 2.' })
  expect((await agent.pause()).data.status).toBe('paused')
  expect((await agent.resume()).data.status).toBe('idle')
  expect(await theazo.usage.summary({ from: new Date(0), until: '2026-02-01' })).toMatchObject({
    period: { from: '1970-01-01T00:00:00.000Z', until: '2026-02-01' },
  })
  await session.terminate()
  expect((await agent.refresh()).data.status).toBe('terminated')
})

test('no call leaves a listener on a signal that never fires', async () => {
  await using server = await startFaultServer({ features: allFeatures })
  const { signal } = callerAbort()
  const theazo = client(server)
  const session = await theazo.sessions.forUser('a', { signal })
  await collect(theazo.sessions.list({ signal, userId: 'a' }))
  const agent = await session.agents.create({ signal, waitUntilReady: true })
  await agent.exec('bash', 'ls', { signal })
  await agent.exec('bash', 'ls', { signal, onStdout: () => {}, stdin: 'x' })
  await collect(agent.execStream('bash', 'ls', { signal }))
  const run = agent.run('add', { signal })
  expect([await collect(run), await run.result({ signal })]).toMatchObject([{ length: 4 }, { output: 'It is 2.' }])
  await collect(agent.attach(await run.taskId, { signal }))
  for await (const _event of agent.run('add', { signal })) break
  server.fault(envelope(409, 'conflict'), { times: 2 })
  await errorOf(agent.exec('bash', 'ls', { signal }))
  await errorOf(agent.run('add', { signal }).result())
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('on a server without extensions, code and tasks run, and other calls name the missing extension', async () => {
  await using server = await startFaultServer({ features: undefined })
  const theazo = client(server)
  const session = await theazo.sessions.forUser('a')
  const agent = await session.agents.create()
  expect(await collect(agent.execStream('bash', 'ls'))).toMatchObject([
    { type: 'stdout' },
    { type: 'stderr' },
    { type: 'exit' },
  ])
  expect(await agent.run('add').result()).toMatchObject({ output: 'It is 2.' })
  const lacking: [() => Promise<unknown>, string][] = [
    [() => session.refresh(), 'sessions'],
    [() => session.update({}), 'sessions'],
    [() => session.terminate(), 'sessions'],
    [() => collect(theazo.sessions.list({ userId: 'a' })), 'sessions'],
    [() => collect(session.agents.list()), 'sessions'],
    [() => session.agents.create({ name: 'n' }), 'agents'],
    [() => agent.exec('bash', 'cat', { stdin: 'x' }), 'exec-stdin'],
    [() => agent.exec('bash', 'cat', { cwd: '/' }), 'exec-options'],
    [() => agent.tasks.get('task_1'), 'tasks'],
    [() => agent.tasks.cancel('task_1'), 'tasks'],
  ]
  for (const [call, feature] of lacking) {
    expect(await errorOf(call())).toMatchObject({ name: 'NotSupportedError', details: { feature } })
  }
})

describe('an error of the API', () => {
  test.each([
    [401, 'unauthorized', 'UnauthorizedError', false],
    [402, 'session_limit_exceeded', 'SessionLimitExceededError', false],
    [403, 'forbidden', 'ForbiddenError', false],
    [404, 'not_found', 'NotFoundError', false],
    [409, 'conflict', 'ConflictError', false],
    [422, 'unprocessable_entity', 'UnprocessableEntityError', false],
    [429, 'rate_limited', 'RateLimitedError', true],
    [500, 'internal_error', 'InternalError', true],
    [502, 'provider_error', 'ProviderError', true],
    [504, 'timeout', 'ServerTimeoutError', false],
    [418, 'teapot', 'TheazoError', false],
    [400, 'constructor', 'TheazoError', false],
    [400, '__proto__', 'TheazoError', false],
    [405, 'not_found', 'NotFoundError', false],
  ])('%i %s is a %s', async (status, code, name, isRetryable) => {
    const details = { fields: { userId: ['is empty'] } }
    const error = await errorAfter(envelope(status, code, { message: 'Says why.', details }))
    expect(error).toMatchObject({
      name,
      code,
      status,
      message: 'Says why.',
      isRetryable,
      details,
      requestId: 'req_fault',
    })
    expect(error.toJSON()).toMatchObject({ name, code, status, requestId: 'req_fault' })
    expect(inspect(error)).toContain(name)
    expect(inspect(error)).toContain(code)
    expect(inspect(error)).toContain(String(status))
    expect(inspect(error)).toContain('req_fault')
  })

  test('422 contains the invalid fields', async () => {
    const error = await errorAfter(envelope(422, 'unprocessable_entity', { details: { fields: { a: ['b'] } } }))
    expect(core.UnprocessableEntityError.isInstance(error) && error.fields).toEqual({ a: ['b'] })
  })
})

describe('a response in another format is a typed error with its status', () => {
  test.each([
    ['an HTML page', page(502), 502, 'provider_error', 'ProviderError'],
    ['an HTML page with 403', page(403), 403, 'forbidden', 'ForbiddenError'],
    ['an empty body', answer(401), 401, 'unauthorized', 'UnauthorizedError'],
    ['truncated JSON', answer(404, '{"error":{"code":"not_f'), 404, 'not_found', 'NotFoundError'],
    ['JSON of another shape', answer(503, '[1]'), 503, 'http_503', 'TheazoError'],
    ['an error that is null', answer(500, '{"error":null}'), 500, 'internal_error', 'InternalError'],
    ['a code that is a number', answer(409, '{"error":{"code":7}}'), 409, 'conflict', 'ConflictError'],
    ['bytes that are not UTF-8', answer(500, Uint8Array.of(255, 254, 0)), 500, 'internal_error', 'InternalError'],
    ['204', answer(204), 204, 'invalid_response', 'InvalidResponseError'],
    ['an empty 200', answer(200), 200, 'invalid_response', 'InvalidResponseError'],
    ['an HTML 200', page(200), 200, 'invalid_response', 'InvalidResponseError'],
    ['a truncated 200', answer(200, '{"id":"agt_'), 200, 'invalid_response', 'InvalidResponseError'],
    ['304', answer(304), 304, 'invalid_response', 'InvalidResponseError'],
  ])('%s', async (_name, fault, status, code, name) => {
    expect(await errorAfter(fault)).toMatchObject({ status, code, name, requestId: 'req_1' })
  })

  test.each(['null', '[]', '"text"', '7'])('a 200 whose JSON is not an object: %s', async (body) => {
    for (const call of [
      getAgent,
      (theazo: Theazo) => theazo.sessions.forUser('u'),
      (theazo: Theazo) => theazo.sessions.create({ userId: 'u' }),
      (theazo: Theazo) => theazo.sessions.list().page(),
      (theazo: Theazo) => theazo.session('ses_1').agents.create(),
      (theazo: Theazo, agentId: string) => theazo.agent(agentId).run('do').taskId,
      (theazo: Theazo) => theazo.agent('agt_1').exec('bash', 'ls', { onStdout: () => {} }),
    ]) {
      await using server = await startFaultServer()
      server.fault(answer(200, body), { when: ({ path }) => !path.endsWith('/stream') })
      const agentId = server.api.addAgent()
      expect(await errorOf(call(client(server), agentId))).toMatchObject({ code: 'invalid_response', status: 200 })
    }
  })
})

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])('of %i is not followed, so the key is not sent elsewhere', async (status) => {
    await using elsewhere = await startFaultServer()
    const location = `${elsewhere.url}/v1/agents/agt_1?token=secret`
    for (const call of [getAgent, (theazo: Theazo) => theazo.agent('agt_1').exec('bash', 'ls')]) {
      const error = await errorAfter(answer(status, '', { location }), call)
      expect(error).toMatchObject({ name: 'InvalidResponseError', status })
      expect(error.message).toContain(elsewhere.url)
      expect(inspect(error)).not.toContain('token=secret')
    }
    expect(elsewhere.requests).toEqual([])
  })

  test('without a location is the same error', async () => {
    expect(await errorAfter(answer(302))).toMatchObject({ name: 'InvalidResponseError', status: 302 })
  })
})

describe('a missing response is a ConnectionError that names the server and the reason', () => {
  test('a refused connection', async () => {
    await using server = await startFaultServer()
    const theazo = client(server)
    await server.refuse()
    const error = await errorOf(getAgent(theazo))
    expect(error).toMatchObject({ name: 'ConnectionError', code: 'connection_error', isRetryable: true })
    expect(error.message).toContain(server.url)
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.status).toBeUndefined()
  })

  test.each([
    ['a reset before the response', resetBeforeAnswer, 'did not reach'],
    ['a reset during the body', resetMidBody, 'lost the connection'],
    ['bytes that are not HTTP', garbage, 'did not reach'],
  ])('%s', async (_name, fault, says) => {
    await using server = await startFaultServer()
    const agentId = server.api.addAgent()
    server.fault(fault)
    const error = await errorOf(client(server).agents.get(agentId))
    expect(error).toMatchObject({ name: 'ConnectionError', code: 'connection_error', isRetryable: true })
    expect(error.message).toContain(says)
    expect(error.cause).toBeInstanceOf(Error)
  })

  test('a reset during the body of an error', async () => {
    const fault: Fault = ({ response }) => {
      response.writeHead(500, { 'content-length': '1000' }).write('{"error":', () => response.socket?.resetAndDestroy())
    }
    expect(TheazoError.isInstance(await errorAfter(fault))).toBe(true)
  })

  test('a host that does not exist', async () => {
    const clock = new ClientTestClock()
    const theazo = new Theazo({ apiKey: 'th_live_x', baseUrl: 'https://nonexistent.invalid', clock, maxRetries: 1 })
    const error = await errorOf(theazo.agent('agt_1').exec('bash', 'ls'))
    expect(error).toMatchObject({ name: 'ConnectionError', isRetryable: true })
    expect(error.message).toContain('nonexistent.invalid')
    expect(clock.sleeps).toHaveLength(1)
  })

  test('TLS to a server that does not speak it', async () => {
    await using server = await startFaultServer()
    const clock = new ClientTestClock()
    const theazo = new Theazo({ ...server.options, baseUrl: server.url.replace('http:', 'https:'), clock })
    const error = await errorOf(getAgent(theazo))
    expect(error).toMatchObject({ name: 'ConnectionError' })
    expect(error.message).toMatch(/ssl|tls/i)
    expect([server.requests.length, clock.sleeps.length]).toEqual([0, 0])
  })

  test('a certificate that nobody trusts', async () => {
    const server = createServer(selfSigned()).listen(0, '127.0.0.1')
    let requests = 0
    server.on('request', () => (requests += 1))
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const clock = new ClientTestClock()
    const theazo = new Theazo({ apiKey: 'th_live_x', baseUrl: `https://127.0.0.1:${port}`, clock })
    const error = await errorOf(getAgent(theazo))
    server.closeAllConnections()
    server.close()
    expect(error).toMatchObject({ name: 'ConnectionError' })
    expect(error.message).toMatch(/self.signed/)
    expect([requests, clock.sleeps.length]).toEqual([0, 0])
  })
})

describe('the deadline of a call', () => {
  test.each([
    ['before the response', stallBeforeHead],
    ['during the body', stallMidBody],
  ])('ends a call that stalls %s, and closes the connection', async (_name, fault) => {
    await using server = await startFaultServer()
    const agentId = server.api.addAgent()
    server.fault(fault)
    const error = await errorOf(client(server).agents.get(agentId, { timeoutMs: 60 }))
    expect(error).toMatchObject({ name: 'TimeoutError', code: 'client_timeout', isRetryable: true })
    expect(error.message).toContain('60 ms')
    await server.idle()
    expect(ServerTimeoutError.isInstance(error)).toBe(false)
  })

  test('also applies to the body of an error', async () => {
    const fault: Fault = ({ response }) => {
      response.writeHead(500, { 'content-length': '1000' }).write('{"error":')
    }
    const error = await errorAfter(fault, (theazo) => theazo.agents.get('agt_1', { timeoutMs: 60 }))
    expect(error).toMatchObject({ name: 'TimeoutError', code: 'client_timeout' })
  })

  test.each([2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY])('may be very long: %d ms', async (timeoutMs) => {
    await using server = await startFaultServer()
    const agentId = server.api.addAgent()
    expect((await client(server).agents.get(agentId, { timeoutMs })).id).toBe(agentId)
  })

  test.each([
    ['before the response', stallBeforeHead],
    ['during the body', stallMidBody],
  ])(
    'does not replace the reason of an abort if a call stalls %s, and the connection is closed',
    async (_name, fault) => {
      await using server = await startFaultServer()
      const agentId = server.api.addAgent()
      const abort = callerAbort()
      const reason = { just: 'a value' }
      server.fault(fault)
      const call = client(server).agents.get(agentId, { signal: abort.signal })
      await server.until(() => server.openRequests.length === 1)
      abort.abort(reason)
      await expect(call).rejects.toBe(reason)
      await server.idle()
    },
  )
})

describe('an exec that streams', () => {
  const stdout = 'event: stdout\ndata: {"text":"a"}\n\n'

  async function execAfter(text: string, by: 'end' | 'reset' = 'end'): Promise<TheazoError> {
    return await errorAfter(eventStream(text, by), (theazo) => collect(theazo.agent('agt_1').execStream('bash', 'ls')))
  }

  test.each([
    ['ends before the exit', stdout, 'end', 'connection_error'],
    ['is reset', stdout, 'reset', 'connection_error'],
    ['contains invalid JSON', 'event: stdout\ndata: {"te\n\n', 'end', 'invalid_response'],
    ['contains JSON that is not an object', 'event: stdout\ndata: null\n\n', 'end', 'invalid_response'],
    ['contains an error event', 'event: error\ndata: {"code":"timeout","message":"120 s"}\n\n', 'end', 'timeout'],
    [
      'contains an error event with an unknown code',
      'event: error\ndata: {"code":"odd","message":"?"}\n\n',
      'end',
      'odd',
    ],
  ] as const)('and %s rejects with a typed error', async (_name, text, by, code) => {
    expect(await execAfter(text, by)).toMatchObject({ code })
  })

  test('and contains a timeout error rejects with a ServerTimeoutError with its status', async () => {
    const error = await execAfter(`${stdout}event: error\ndata: {"code":"timeout","message":"120 s"}\n\n`)
    expect(error).toMatchObject({ name: 'ServerTimeoutError', status: 504, message: '120 s', requestId: 'req_1' })
  })

  test('closes its connection, which kills the code, if its loop is left, its signal fires or its callback throws', async () => {
    await using server = await startFaultServer()
    const agent = client(server).agent('agt_1')
    server.fault(eventStream(stdout, 'stall'), { times: 3 })
    for await (const chunk of agent.execStream('bash', 'ls')) {
      expect(chunk).toEqual({ type: 'stdout', text: 'a' })
      break
    }
    await server.idle()
    const abort = callerAbort()
    const reason = new Error('enough')
    const onStdout = (): void => abort.abort(reason)
    await expect(agent.exec('bash', 'ls', { signal: abort.signal, onStdout })).rejects.toBe(reason)
    await server.idle()
    const fail = (): Promise<never> => Promise.reject(reason)
    await expect(agent.exec('bash', 'ls', { onStdout: fail })).rejects.toBe(reason)
    await server.idle()
  })

  test('waits for each callback before it reads more', async () => {
    await using server = await startFaultServer()
    const agent = client(server).agent('agt_1')
    server.fault(eventStream(`${stdout}${stdout.replace('stdout', 'stderr')}${stdout}event: exit\ndata: {}\n\n`))
    const seen: string[] = []
    const slow = (name: string) => async () => {
      seen.push(name)
      await new Promise(setImmediate)
      seen.push(`${name} done`)
    }
    await agent.exec('bash', 'ls', { onStdout: slow('out'), onStderr: slow('err') })
    expect(seen).toEqual(['out', 'out done', 'err', 'err done', 'out', 'out done'])
  })
})

describe('a response of random bytes', () => {
  test('with an error status is a TheazoError with that status', async () => {
    await using server = await startFaultServer()
    const theazo = client(server)
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
      fc
        .record({ error: fc.record({ code: fc.jsonValue(), message: fc.jsonValue(), details: fc.jsonValue() }) })
        .map((value) => new TextEncoder().encode(JSON.stringify(value))),
    )
    // fetch itself turns 407 into a network error and retries after 421 (Fetch, 4.6).
    const statuses = fc.integer({ min: 300, max: 599 }).filter((status) => status !== 407 && status !== 421)
    const headers = fc.record(
      {
        'retry-after': fc.stringMatching(/^[ -~]*$/),
        'content-type': fc.constantFrom('text/html', 'application/json', 'x'),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(statuses, bodies, headers, async (status, body, headers) => {
        server.fault(answer(status, body, headers))
        const error = await errorOf(getAgent(theazo))
        expect(error.status).toBe(status)
        expect(JSON.parse(JSON.stringify(error))).toMatchObject({ status })
        expect(inspect(error)).toContain(String(status))
      }),
      { numRuns: 400 },
    )
  })

  test('with status 200 is a valid result or a TheazoError', async () => {
    await using server = await startFaultServer()
    const theazo = client(server)
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
    )
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        server.fault(answer(200, body))
        const outcome: unknown = await theazo.sessions.forUser('u').catch((error: unknown) => error)
        expect(outcome instanceof Session || TheazoError.isInstance(outcome)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })
})

test('isInstance works across two copies of the package, also for subclasses', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-copy-'))
  try {
    const dist = fileURLToPath(new URL('.', import.meta.resolve('@theazo/core')))
    cpSync(join(dist, '..', 'package.json'), join(folder, 'package.json'))
    cpSync(dist, join(folder, 'dist'), { recursive: true })
    symlinkSync(join(dist, '..', 'node_modules'), join(folder, 'node_modules'))
    // The same module from another path.
    const copy = (await import(pathToFileURL(join(folder, 'dist', 'index.js')).href)) as typeof core
    expect(copy.TheazoError).not.toBe(TheazoError)
    await using server = await startFaultServer()
    server.fault(envelope(504, 'timeout'))
    const theazo = new copy.Theazo({ ...server.options })
    const error = await theazo.agents.get('agt_1').catch((error: unknown) => error)
    expect(error).not.toBeInstanceOf(TheazoError)
    for (const { TheazoError, TimeoutError, ServerTimeoutError } of [core, copy]) {
      const classes = [TheazoError, TimeoutError, ServerTimeoutError]
      expect(classes.map((errorClass) => errorClass.isInstance(error))).toEqual([true, true, true])
    }
    expect(core.NotFoundError.isInstance(error)).toBe(false)
    class Mine extends core.NotFoundError {
      static override readonly className = 'Mine' as 'NotFoundError'
    }
    const mine = new Mine('mine', { code: 'not_found' })
    expect([copy.NotFoundError.isInstance(mine), copy.TheazoError.isInstance(mine)]).toEqual([true, true])
    expect(Mine.isInstance(new core.NotFoundError('not mine', { code: 'not_found' }))).toBe(false)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.each([undefined, null, 7, 'TheazoError', {}, new Error('no'), Object.create(null)])(
  'isInstance is false for other values: %j',
  (value) => {
    expect(TheazoError.isInstance(value)).toBe(false)
  },
)

describe('an error never contains the key, even if the server returns it', () => {
  const key = 'th_live_s3cret"key'
  const echoes: [string, Fault, ((theazo: Theazo) => Promise<unknown>)?][] = [
    ['in the message', envelope(401, 'unauthorized', { message: `The key ${key} is unknown.` })],
    ['in the details', envelope(409, 'conflict', { details: { seen: { authorization: [`Bearer ${key}`] } } })],
    ['in the code', envelope(400, key)],
    ['in an HTML page', answer(403, `<p>${key}</p>`, { 'content-type': 'text/html' })],
    ['in an HTML 200', answer(200, `<p>${key}</p>`, { 'content-type': 'text/html' })],
    ['as the body of a 200', answer(200, key)],
    ['in a redirect', answer(302, '', { location: `http://127.0.0.1:1/?key=${encodeURIComponent(key)}` })],
    ['as the request id', answer(500, '', { 'x-request-id': key })],
    [
      'as the content type of a stream',
      answer(200, '', { 'content-type': key }),
      (theazo) => collect(theazo.agent('a').stream()),
    ],
    [
      'in the error of an exec that streams',
      eventStream(`event: error\ndata: ${JSON.stringify({ code: 'x', message: key, details: { key } })}\n\n`),
      (theazo) => collect(theazo.agent('a').execStream('bash', 'ls')),
    ],
    [
      'in the broken stream of an exec',
      eventStream(`event: stdout\ndata: ${key}\n\n`),
      (theazo) => collect(theazo.agent('a').execStream('bash', 'ls')),
    ],
  ]

  test.each(echoes)('%s', async (_name, fault, call = getAgent) => {
    await using server = await startFaultServer({ features: allFeatures })
    server.fault(fault)
    const theazo = client(server, { apiKey: key })
    const error = await errorOf(call(theazo))
    for (const value of [
      error,
      theazo,
      theazo.sessions,
      theazo.session('s'),
      theazo.agent('a'),
      theazo.agent('a').files,
    ]) {
      for (const shown of [
        inspect(value, { depth: 20, showHidden: true }),
        JSON.stringify(value) ?? '',
        String(value),
        JSON.stringify({ ...value }),
      ]) {
        expect(shown).not.toContain(key)
        expect(shown).not.toContain('s3cret')
      }
    }
  })
})
