// The client against a real server and against a scripted one.
import { createHash } from 'node:crypto'
import { type AgentStatus, type Page, Theazo, type WireSession } from '@theazo/core'
import { createLocalTheazo, listenTheazo } from '@theazo/server'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import { errorOf } from '../support/error-of.ts'
import { ClientTestClock } from '../support/clock.ts'
import { describeClient } from './client-suite.ts'
import {
  Answer,
  error,
  eventStream,
  execResult,
  type Route,
  startApi,
  wireAgent,
  wireSession,
  wireTask,
  wireUsage,
} from './scripted-api.ts'

describeClient('the local server, in-process', createLocalTheazo, ['run'])
describeClient('the local server, over a port', () => openPort('live'), ['run'])
describeClient('the local server, over a port, with a test key', () => openPort('test'), ['code'])

async function openPort(mode: 'live' | 'test') {
  const server = await listenTheazo({ port: 0 })
  const { key } = await server.keys.create({ mode, plan: 'enterprise' })
  return { baseUrl: server.url, apiKey: key, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

describe('lists', () => {
  /** `count` sessions in pages of `limit`; a cursor is the number of sessions before the page. */
  const pagesOf =
    (count: number): Route =>
    ({ query }) => {
      const from = Number(query['cursor'] ?? 0)
      const until = Math.min(count, from + Number(query['limit'] ?? 25))
      const data = Array.from({ length: until - from }, (_, index) => wireSession(`ses_${from + index}`))
      const hasMore = until < count
      return { data, hasMore, ...(hasMore && { nextCursor: String(until) }) } satisfies Page<WireSession>
    }
  const ids = (count: number) => Array.from({ length: count }, (_, index) => `ses_${index}`)

  test.each([0, 1, 3, 4, 7, 9])('all of %i items arrive, in pages of 3, in order and once', async (count) => {
    await using api = await startApi({ 'GET /sessions': pagesOf(count) })
    const list = new Theazo(api.options).sessions.list({ limit: 3 })
    expect(api.calls).toEqual([])
    expect((await collect(list)).map(({ id }) => id)).toEqual(ids(count))
    expect(api.requests.map(({ query }) => query['limit'])).toEqual(Array(Math.max(1, Math.ceil(count / 3))).fill('3'))
    expect((await collect(list)).map(({ id }) => id)).toEqual(ids(count))
  })

  test('pages can be read one by one, from a stored cursor', async () => {
    await using api = await startApi({ 'GET /sessions': pagesOf(5) })
    const { sessions } = new Theazo(api.options)
    const first = await sessions.list({ limit: 2 }).page()
    expect([first.data.map(({ id }) => id), first.hasMore, first.nextCursor]).toEqual([ids(2), true, '2'])
    const pages = await collect(sessions.list({ limit: 2, cursor: first.nextCursor }).pages())
    expect(pages.map(({ data }) => data.map(({ id }) => id))).toEqual([['ses_2', 'ses_3'], ['ses_4']])
    expect(api.requests.map(({ query }) => query)).toEqual([
      { limit: '2' },
      { limit: '2', cursor: '2' },
      { limit: '2', cursor: '4' },
    ])
    expect(await first.data[0]?.agents.create().catch(({ name }: Error) => name)).toBe('NotFoundError')
  })

  test.each([
    ['a page without nextCursor, whatever hasMore is,', { hasMore: true }],
    ['a page with an empty nextCursor', { hasMore: true, nextCursor: '' }],
    ['null', { hasMore: false, nextCursor: null }],
  ])('%s is the last page', async (_what, end) => {
    await using api = await startApi({ 'GET /sessions': () => ({ data: [wireSession('ses_0')], ...end }) })
    expect(await collect(new Theazo(api.options).sessions.list())).toHaveLength(1)
    expect(api.calls).toEqual(['GET /sessions'])
  })

  test('an empty page with a cursor is not the end', async () => {
    const pages = [
      { data: [], nextCursor: 'a', hasMore: true },
      { data: [wireSession('ses_0')], hasMore: false },
    ]
    await using api = await startApi({ 'GET /sessions': () => pages.shift() })
    expect(await collect(new Theazo(api.options).sessions.list())).toHaveLength(1)
  })

  test.each([
    ['immediately', ['a', 'a']],
    ['in a circle', ['a', 'b', 'c', 'a']],
    ['after the cursor of the caller', ['start']],
  ])('a cursor that repeats, %s, is an invalid response after the earlier items', async (_what, cursors) => {
    await using api = await startApi({
      'GET /sessions': () => ({
        data: [wireSession(`ses_${api.requests.length}`)],
        nextCursor: cursors[(api.requests.length - 1) % cursors.length],
        hasMore: true,
      }),
    })
    const found: string[] = []
    const read = async (): Promise<void> => {
      for await (const { id } of new Theazo(api.options).sessions.list({ cursor: 'start' })) found.push(id)
    }
    expect(await errorOf(read())).toMatchObject({ name: 'InvalidResponseError', code: 'invalid_response' })
    expect(found).toEqual(cursors.map((_, index) => `ses_${index + 1}`))
    expect(api.requests).toHaveLength(cursors.length)
  })

  test('an abort ends the listing with its reason, also between items', async () => {
    await using api = await startApi({ 'GET /sessions': pagesOf(6) })
    const abort = new AbortController()
    const reason = new Error('enough')
    const found: string[] = []
    const read = async (): Promise<void> => {
      for await (const { id } of new Theazo(api.options).sessions.list({ limit: 3, signal: abort.signal })) {
        found.push(id)
        if (found.length === 2) abort.abort(reason)
      }
    }
    expect(await errorOf(read())).toBe(reason)
    expect([found, api.requests.length]).toEqual([ids(2), 1])
  })

  test('leaving the loop requests no further page', async () => {
    await using api = await startApi({ 'GET /sessions': pagesOf(6) })
    for await (const { id } of new Theazo(api.options).sessions.list({ limit: 3 })) if (id === 'ses_2') break
    expect(api.calls).toEqual(['GET /sessions'])
  })

  test('filters are sent if the server supports them', async () => {
    await using api = await startApi(
      {
        'GET /sessions': pagesOf(1),
        'GET /sessions/ses_1/agents': () => ({ data: [wireAgent('idle')], hasMore: false }),
      },
      ['sessions'],
    )
    const theazo = new Theazo(api.options)
    await collect(theazo.sessions.list({ userId: 'a b&c', status: 'paused' }))
    expect(api.requests.at(-1)?.query).toEqual({ userId: 'a b&c', status: 'paused' })
    const [agent] = await collect(theazo.session('ses_1').agents.list({ status: 'idle', name: 'n', limit: 5 }))
    expect(api.requests.at(-1)?.query).toEqual({ status: 'idle', name: 'n', limit: '5' })
    expect(agent?.data.status).toBe('idle')
  })
})

describe('sessions and tasks of a server with the extensions', () => {
  test('update sends its fields, including null, and stores the response in the handle', async () => {
    await using api = await startApi({ 'PATCH /sessions/ses_1': () => wireSession('ses_1', { metadata: { b: 1 } }) })
    const session = new Theazo(api.options).session('ses_1')
    await session.update({ limits: { maxAgents: null }, metadata: { a: null, b: 1 } })
    expect(api.requests[0]?.body).toEqual({ limits: { maxAgents: null }, metadata: { a: null, b: 1 } })
    expect(session.data.metadata).toEqual({ b: 1 })
  })

  test('tasks are read and cancelled', async () => {
    await using api = await startApi({
      'GET /agents/agt_1/tasks/task_1': () => wireTask,
      'POST /agents/agt_1/tasks/task_1/cancel': () => ({ ok: true }),
    })
    const { tasks } = new Theazo(api.options).agent('agt_1')
    expect(await tasks.get('task_1')).toEqual(wireTask)
    expect(await tasks.cancel('task_1')).toBeUndefined()
    expect(api.calls[1]).toBe('POST /agents/agt_1/tasks/task_1/cancel')
  })

  test('an unknown id is not found, because the server has the route', async () => {
    await using api = await startApi({}, ['tasks', 'sessions'])
    const theazo = new Theazo(api.options)
    const error = { name: 'NotFoundError', status: 404 }
    await expect(theazo.agent('agt_1').tasks.get('task_2')).rejects.toMatchObject(error)
    await expect(theazo.sessions.get('ses_2')).rejects.toMatchObject(error)
  })

  test('a name is sent, and 200 means an existing agent', async () => {
    await using api = await startApi(
      {
        'POST /sessions/ses_1/agents': ({ body }) =>
          new Answer(body.name === 'old' ? 200 : 201, wireAgent('idle', body)),
      },
      ['agents'],
    )
    const { agents } = new Theazo(api.options).session('ses_1')
    const [old, fresh] = [
      await agents.create({ name: 'old' }),
      await agents.create({ name: 'new', metadata: { a: 1 } }),
    ]
    expect([old.isNew, old.data.name, fresh.isNew, fresh.data.metadata]).toEqual([false, 'old', true, { a: 1 }])
  })

  test('the extensions of a server are requested once, by a request that changes nothing', async () => {
    await using api = await startApi({ 'POST /agents/agt_1/exec': () => execResult('') }, ['exec-stdin'])
    const agent = new Theazo(api.options).agent('agt_1')
    for (const stdin of ['a', 'b']) await agent.exec('bash', 'cat', { stdin })
    await errorOf(agent.exec('bash', 'true', { cwd: '/' }))
    expect(api.calls).toEqual(['GET /sessions', 'POST /agents/agt_1/exec', 'POST /agents/agt_1/exec'])
  })
})

describe('usage', () => {
  test.each([
    [{}, {}],
    [{ from: new Date('2026-01-01T00:00:00Z') }, { from: '2026-01-01T00:00:00.000Z' }],
    [
      { from: '2026-01-01', until: '2026-01-31T12:00:00+02:00' },
      { from: '2026-01-01', until: '2026-01-31T12:00:00+02:00' },
    ],
    [
      { sessionId: 'ses_1', userId: 'a&b', keyId: 'k' },
      { sessionId: 'ses_1', userId: 'a&b', keyId: 'k' },
    ],
  ])('%j sends the query %j', async (options, query) => {
    await using api = await startApi({ 'GET /usage/summary': () => wireUsage }, ['sessions'])
    expect(await new Theazo(api.options).usage.summary(options)).toEqual(wireUsage)
    expect(api.requests.at(-1)?.query).toEqual(query)
  })

  test('an invalid date is a configuration error', async () => {
    await using api = await startApi({ 'GET /usage/summary': () => wireUsage })
    const summary = new Theazo(api.options).usage.summary({ from: new Date('no date') })
    expect(await errorOf(summary)).toMatchObject({ name: 'ConfigurationError' })
    expect(api.calls).toEqual([])
  })
})

describe('waiting until an agent is ready', () => {
  /** Returns one status after the other, then always the last one. */
  const becoming = (...statuses: AgentStatus[]) => {
    const next = () =>
      wireAgent(statuses.length > 1 ? (statuses.shift() ?? 'idle') : (statuses[0] ?? 'idle'), { reason: 'no memory' })
    return { 'POST /sessions/ses_1/agents': () => new Answer(201, next()), 'GET /agents/agt_1': () => next() }
  }
  const options = { waitUntilReady: true, timeoutMs: 60_000 }

  test('resolves when a booting agent is idle', async () => {
    await using api = await startApi(becoming('booting', 'booting', 'booting', 'idle'))
    const theazo = new Theazo({ ...api.options, clock: new ClientTestClock() })
    const agent = await theazo.session('ses_1').agents.create(options)
    expect([agent.data.status, api.requests.length]).toEqual(['idle', 4])
    expect(api.requests[0]?.body).toEqual({})
  })

  test('does not happen without waitUntilReady', async () => {
    await using api = await startApi(becoming('booting', 'idle'))
    const agent = await new Theazo(api.options).session('ses_1').agents.create()
    expect([agent.data.status, api.requests.length]).toEqual(['booting', 1])
  })

  test.each([
    ['failed', 'ProviderError', 'provider_error', /agt_1 has failed: no memory/],
    ['terminated', 'ConflictError', 'conflict', /terminated/],
  ] as const)('%s is immediately a %s', async (status, name, code, message) => {
    await using api = await startApi(becoming('booting', status))
    const theazo = new Theazo({ ...api.options, clock: new ClientTestClock() })
    const thrown = await errorOf(theazo.session('ses_1').agents.create(options))
    expect(thrown).toMatchObject({ name, code, details: { agentId: 'agt_1' }, message: expect.stringMatching(message) })
    expect(api.requests).toHaveLength(2)
  })

  test('an agent that never gets ready is a timeout that names the agent', async () => {
    await using api = await startApi(becoming('booting'))
    const theazo = new Theazo({ ...api.options, clock: new ClientTestClock() })
    const thrown = await errorOf(theazo.session('ses_1').agents.create(options))
    expect(thrown).toMatchObject({ name: 'TimeoutError', code: 'client_timeout', details: { agentId: 'agt_1' } })
  })

  test('a server that stops answering is a timeout', { timeout: 10_000 }, async () => {
    await using api = await startApi({ ...becoming('booting'), 'GET /agents/agt_1': () => undefined })
    const create = new Theazo(api.options).session('ses_1').agents.create({ waitUntilReady: true, timeoutMs: 500 })
    expect(await errorOf(create)).toMatchObject({ name: 'TimeoutError', code: 'client_timeout' })
  })

  test('an abort ends it with its reason', async () => {
    const abort = new AbortController()
    const reason = new Error('enough')
    await using api = await startApi({
      ...becoming('booting'),
      'GET /agents/agt_1': () => {
        if (api.requests.length === 3) abort.abort(reason)
        return wireAgent('booting')
      },
    })
    const create = new Theazo(api.options).session('ses_1').agents.create({ ...options, signal: abort.signal })
    expect(await errorOf(create)).toBe(reason)
    expect(api.requests).toHaveLength(3)
  })
})

describe('exec over an event stream', () => {
  const path = 'POST /agents/agt_1/exec'
  const agentOf = (api: { options: { baseUrl: string } }) => new Theazo(api.options).agent('agt_1')

  test('callbacks run in order, and each is awaited before the next', async () => {
    await using api = await startApi({
      [path]: async (_request, response) => {
        const stream = eventStream(response)
        for (let n = 0; n < 100; n += 1) await stream.send(n % 3 === 2 ? 'stderr' : 'stdout', { text: `${n} ` })
        await stream.send('exit', execResult('all'))
        stream.end()
      },
    })
    const received: string[] = []
    let running = 0
    const record = async (text: string): Promise<void> => {
      running += 1
      await new Promise(setImmediate)
      received.push(text)
      expect(running).toBe(1)
      running -= 1
    }
    const result = await agentOf(api).exec('bash', 'x', { onStdout: record, onStderr: record })
    expect(received.join('')).toBe(Array.from({ length: 100 }, (_, n) => `${n} `).join(''))
    expect(result).toEqual(execResult('all'))
    expect(api.requests[0]?.headers.accept).toContain('text/event-stream')
  })

  test('a slow callback slows the server', async () => {
    const piece = 'x'.repeat(64 * 1024)
    const pieces = 1000 // more than all buffers on the path can contain
    let sent = 0
    await using api = await startApi({
      [path]: async (_request, response) => {
        const stream = eventStream(response)
        for (; sent < pieces; sent += 1) await stream.send('stdout', { text: piece })
        await stream.send('exit', execResult(''))
        stream.end()
      },
    })
    /** Resolves when the server has not sent anything for a while. */
    const stalled = async (): Promise<number> => {
      for (let last = -1, quiet = 0; quiet < 20; quiet = sent === last ? quiet + 1 : 0) {
        last = sent
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return sent
    }
    let sentWhileHeld: number | undefined
    let received = 0
    await agentOf(api).exec('bash', 'x', {
      onStdout: async ({ length }) => {
        received += length
        sentWhileHeld ??= await stalled()
      },
    })
    expect(sentWhileHeld).toBeLessThan(pieces)
    expect(received).toBe(pieces * piece.length)
  })

  test.each([
    ['an error', () => new Error('mine')],
    ['a TypeError', () => new TypeError('x is not a function')],
    ['a system error', () => Object.assign(new Error('disk full'), { code: 'ENOSPC' })],
    ['a value that is not an error', () => 'mine'],
  ])('%s that a callback throws is the rejection of exec, and the request is closed', async (_what, make) => {
    await using api = await startApi(
      {
        [path]: async (_request, response) => {
          const stream = eventStream(response)
          await stream.send('stdout', { text: 'one' })
          await stream.send('stderr', { text: 'two' })
        },
      },
      ['idempotency'],
    )
    const mine = make()
    const agent = agentOf(api)
    const fail = (): never => {
      throw mine
    }
    for (const options of [{ onStdout: fail }, { onStderr: async () => fail() }]) {
      expect(await errorOf(agent.exec('bash', 'x', options))).toBe(mine)
      await api.requests.at(-1)?.disconnected
    }
    expect(api.calls).toEqual([path, path])
  })

  test('an error of a callback is thrown once, and a JSON exec is not retried', async () => {
    await using api = await startApi({ [path]: () => execResult('out') }, ['idempotency'])
    const agent = agentOf(api)
    await agent.exec('bash', 'x')
    const mine = new TypeError('x is not a function')
    let calls = 0
    const onStdout = (): never => {
      calls += 1
      throw mine
    }
    expect(await errorOf(agent.exec('bash', 'x', { onStdout }))).toBe(mine)
    expect([calls, api.calls]).toEqual([1, [path, path]])
  })

  test.each([
    [
      { code: 'timeout', message: 'too long' },
      { name: 'ServerTimeoutError', status: 504 },
    ],
    [{ code: 'session_limit_exceeded', message: 'no money' }, { name: 'SessionLimitExceededError' }],
    [{ code: 'conflict', message: 'gone', details: { reason: 'interrupted' } }, { name: 'ConflictError' }],
    [{ code: 'provider_error', message: 'lost' }, { name: 'ProviderError' }],
    [{ code: 'new_code', message: 'unheard of' }, { name: 'TheazoError' }],
  ])('an error event after the first byte is the typed error: %j', async (event, expected) => {
    await using api = await startApi(
      {
        [path]: async (_request, response) => {
          const stream = eventStream(response)
          await stream.send('stdout', { text: 'one' })
          await stream.send('error', event)
          stream.end()
        },
      },
      ['idempotency'],
    )
    const received: string[] = []
    const thrown = await errorOf(agentOf(api).exec('bash', 'x', { onStdout: (text) => received.push(text) }))
    expect(thrown).toMatchObject({ ...event, ...expected })
    expect([received, api.calls]).toEqual([['one'], [path]])
  })

  test.each(['ends', 'breaks'])(
    'a stream that %s before the exit is a lost connection, and is not requested again',
    async (how) => {
      let taken = Promise.withResolvers<void>()
      await using api = await startApi(
        {
          [path]: async (_request, response) => {
            await eventStream(response).send('stdout', { text: 'one' })
            if (how === 'ends') return void response.end()
            await taken.promise // bytes in transit are lost with the connection
            return void response.destroy()
          },
        },
        ['idempotency'],
      )
      const agent = agentOf(api)
      await errorOf(agent.refresh()) // the client now knows the extensions of the server
      const received: string[] = []
      const onStdout = (text: string): void => {
        received.push(text)
        taken.resolve()
      }
      const thrown = await errorOf(agent.exec('bash', 'x', { onStdout }))
      expect(thrown).toMatchObject({ name: 'ConnectionError', code: 'connection_error' })
      expect([received, api.calls.filter((call) => call === path)]).toEqual([['one'], [path]])
      taken = Promise.withResolvers()
      const chunks: unknown[] = []
      const read = async (): Promise<void> => {
        for await (const chunk of agent.execStream('bash', 'x')) {
          chunks.push(chunk)
          taken.resolve()
        }
      }
      expect(await errorOf(read())).toMatchObject({ name: 'ConnectionError' })
      expect(chunks).toEqual([{ type: 'stdout', text: 'one' }])
    },
  )

  test('leaving the loop of execStream closes the request', async () => {
    await using api = await startApi({
      [path]: async (_request, response) => {
        const stream = eventStream(response)
        for (let n = 0; !response.destroyed; n += 1) await stream.send('stdout', { text: `${n}` })
      },
    })
    const texts: string[] = []
    for await (const chunk of agentOf(api).execStream('bash', 'x')) {
      if (chunk.type === 'stdout') texts.push(chunk.text)
      if (texts.length === 3) break
    }
    expect(texts).toEqual(['0', '1', '2'])
    await api.requests[0]?.disconnected
    const fail = async (): Promise<void> => {
      for await (const chunk of agentOf(api).execStream('bash', 'x')) throw new Error(`mine: ${chunk.type}`)
    }
    await expect(fail()).rejects.toThrow('mine: stdout')
    await api.requests[1]?.disconnected
  })

  test('an abort ends execStream with its reason, and closes the request', async () => {
    await using api = await startApi({
      [path]: async (_request, response) => await eventStream(response).send('stdout', { text: 'one' }),
    })
    const abort = new AbortController()
    const reason = new Error('enough')
    const read = async (): Promise<void> => {
      for await (const _ of agentOf(api).execStream('bash', 'x', { signal: abort.signal })) abort.abort(reason)
    }
    expect(await errorOf(read())).toBe(reason)
    await api.requests[0]?.disconnected
  })

  test('200 execs with one mebibyte of output each, streamed or not, each receive their own output', async () => {
    const outputOf = (code: string): string => `${code} `.repeat(2 ** 20 / (code.length + 1))
    await using api = await startApi({
      [path]: async ({ body, headers }, response) => {
        const output = outputOf(body.code)
        if (!headers.accept?.includes('text/event-stream')) return execResult(output)
        const stream = eventStream(response)
        for (let from = 0; from < output.length; from += 100_000) {
          await stream.send('stdout', { text: output.slice(from, from + 100_000) })
        }
        await stream.send('exit', execResult(output))
        stream.end()
      },
    })
    const agent = agentOf(api)
    const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
    const run = async (n: number): Promise<boolean> => {
      const code = String(1000 + n)
      let received = ''
      const { stdout } = await agent.exec('bash', code, n % 2 ? { onStdout: (text) => (received += text) } : {})
      return digest(stdout) === digest(outputOf(code)) && (n % 2 === 0 || received === stdout)
    }
    for (let from = 0; from < 200; from += 20) {
      const isRight = await Promise.all(Array.from({ length: 20 }, (_, index) => run(from + index)))
      expect(isRight).toEqual(Array(20).fill(true))
    }
    expect(api.requests).toHaveLength(200)
  })
})

describe('the request of exec', () => {
  const echo: Record<string, Route> = { 'POST /agents/agt_1/exec': ({ body }) => execResult(JSON.stringify(body)) }

  test('contains code, input, environment and folder unchanged, and omits absent options', async () => {
    await using api = await startApi(echo, ['exec-stdin', 'exec-options'])
    const agent = new Theazo(api.options).agent('agt_1')
    await agent.exec('python', '')
    expect(api.requests.at(-1)?.body).toEqual({ lang: 'python', code: '' })
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        fc.uint8Array({ maxLength: 1000 }),
        async (code, text, bytes) => {
          const options = { env: { A: text }, cwd: `/${text}` }
          await agent.exec('bash', code, { ...options, stdin: text })
          expect(api.requests.at(-1)?.body).toEqual({ lang: 'bash', code, stdin: text, ...options })
          await agent.exec('bash', code, { stdin: bytes })
          const { base64 } = api.requests.at(-1)?.body.stdin ?? {}
          expect(Buffer.from(base64, 'base64').equals(bytes)).toBe(true)
        },
      ),
      { seed: 4, numRuns: 50 },
    )
  })

  test('contains five megabytes of input, also as a view of a larger buffer', async () => {
    await using api = await startApi(echo, ['exec-stdin'])
    const whole = Uint8Array.from({ length: 5_000_010 }, (_, index) => (index * 7919) % 256)
    const part = whole.subarray(5, 5_000_005)
    await new Theazo(api.options).agent('agt_1').exec('bash', 'cat', { stdin: part })
    expect(Buffer.from(api.requests.at(-1)?.body.stdin.base64, 'base64').equals(part)).toBe(true)
  })

  test('rejects with the typed error, also with callbacks', async () => {
    await using api = await startApi({ 'POST /agents/agt_1/exec': () => error(409, 'conflict', 'terminated') })
    const agent = new Theazo(api.options).agent('agt_1')
    for (const call of [
      agent.exec('bash', 'x'),
      agent.exec('bash', 'x', { onStdout: () => {} }),
      agent.execStream('bash', 'x').next(),
    ]) {
      expect(await errorOf(call)).toMatchObject({ name: 'ConflictError', status: 409, requestId: 'req_1' })
    }
  })
})
