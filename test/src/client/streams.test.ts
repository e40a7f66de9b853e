// Runs and event streams over connections that break, split data, stall and repeat events.
import {
  type Agent,
  type AgentEvent,
  type Run,
  StreamError,
  Theazo,
  TheazoError,
  type TheazoOptions,
  TimeoutError,
} from '@theazo/core'
import { describe, expect, test } from 'vitest'
import { collect } from '../support/collect.ts'
import type { StreamStyle } from './event-log.ts'
import { defaultScript, type ScriptedEvent } from './fake-api.ts'
import { answer, envelope, type Fault, page, resetBeforeAnswer, stallBeforeHead } from './faults.ts'
import { errorOf as thrownBy } from '../support/error-of.ts'
import { allFeatures, type FaultServer, startFaultServer } from './fault-server.ts'
import { callerAbort, watchLeaks } from './leaks.ts'
import { ClientTestClock } from '../support/clock.ts'
import { Chance } from '../support/chance.ts'

watchLeaks()

interface Setting extends AsyncDisposable {
  server: FaultServer
  clock: ClientTestClock
  theazo: Theazo
  agent: Agent
  /** Emits one event of the agent's latest task. */
  emit: (...event: ScriptedEvent) => void
}

interface SettingOptions extends TheazoOptions {
  features?: typeof allFeatures | undefined
  script?: readonly ScriptedEvent[]
}

async function start({ script = [], ...options }: SettingOptions = {}): Promise<Setting> {
  const features = 'features' in options ? options.features : allFeatures
  const server = await startFaultServer({ features })
  server.api.script = script
  const clock = new ClientTestClock()
  const theazo = new Theazo({ ...server.options, clock, ...options })
  const agent = theazo.agent(server.api.addAgent())
  const emit = (...event: ScriptedEvent): void => server.api.emit(agent.id, server.api.latestTask(agent.id), event)
  return { server, clock, theazo, agent, emit, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

async function errorOf(promise: Promise<unknown>): Promise<TheazoError> {
  return (await thrownBy(promise)) as TheazoError // each test checks its class
}

const isRun = ({ path }: { path: string }): boolean => path.endsWith('/run')
const isStream = ({ path }: { path: string }): boolean => path.endsWith('/stream')
const output: ScriptedEvent = ['output', { text: 'the end', cost: { amount: 1, currency: 'usd' } }]
const delta = (text: string): ScriptedEvent => ['output_delta', { text }]
const deltas = (count: number, text = ''): ScriptedEvent[] =>
  Array.from({ length: count }, (_, n) => delta(`${n}${text}`))
const textOf = (event: AgentEvent): string => ('text' in event ? event.text : event.type)

/** Enough for a test whose stream would otherwise never end. */
const guard = { timeoutMs: 10_000 }

describe('10,000 events over 1,000 disconnects at random bytes each arrive once, in order, without a gap', () => {
  test.each([
    [1, 1500, 0],
    [2, 1500, 0],
    [3, 1700, 5],
  ])('seed %i, up to %i bytes per connection, up to %i repeated events', async (seed, maxBytes, maxRepeats) => {
    await using setting = await start({ script: [...deltas(9999, ' é😀'), output] })
    const { server, agent } = setting
    const chance = new Chance(seed)
    const below = (limit: number): number => Math.floor(chance.next() * limit)
    let cuts = 0
    server.styleOf = (number) => {
      if (cuts === 1000) return {}
      cuts += 1
      // The first connection sends an event: before it the client does not know its position.
      const afterBytes = (number === 1 ? 300 : 0) + below(maxBytes)
      const by = (['end', 'close', 'reset'] as const)[below(3)] ?? 'end'
      return { cut: { afterBytes, by }, repeats: below(maxRepeats + 1), chunkBytes: 1 + below(400) }
    }
    const run = agent.run('count')
    const events = await collect(run)
    expect(events.map(({ eventId }) => Number(eventId))).toEqual(Array.from({ length: 10_000 }, (_, n) => n + 1))
    expect(events.map(textOf)).toEqual([...Array.from({ length: 9999 }, (_, n) => `${n} é😀`), 'the end'])
    expect(events.filter(({ gap }) => gap)).toEqual([])
    expect([cuts, await run.result()]).toEqual([1000, expect.objectContaining({ output: 'the end' })])
  })

  test('a disconnect before the first event of the run loses nothing', async () => {
    await using setting = await start()
    const { server, agent, emit } = setting
    const run = agent.run('one', guard)
    await run.taskId
    const [first] = server.streams
    first?.cut('close')
    for (const event of defaultScript) emit(...event)
    expect((await collect(run)).map(({ type }) => type)).toEqual(['thinking', 'tool_call', 'tool_result', 'output'])
  })
})

describe('a stream has the same events', () => {
  const script: ScriptedEvent[] = [
    delta('é'),
    ['thinking', { text: '😀\r\n\n' }],
    ['novel', { n: 1 }],
    ['output', { text: '漢字' }],
  ]

  async function readWith(style: StreamStyle): Promise<AgentEvent[]> {
    await using setting = await start({ script })
    setting.server.styleOf = () => style
    return await collect(setting.agent.run('read', guard))
  }

  test.each(['\n', '\r', '\r\n'] as const)('with any line ends, and split at any place: %j', async (lineEnd) => {
    const expected = await readWith({})
    expect(expected.map(textOf)).toEqual(['é', '😀\r\n\n', 'unknown', '漢字'])
    const longestEventBytes = 110
    for (let chunkBytes = 1; chunkBytes <= longestEventBytes; chunkBytes += 1) {
      const style = { lineEnd, chunkBytes, hasByteOrderMark: true, hasComments: chunkBytes % 2 === 0 }
      expect(await readWith(style), `chunks of ${chunkBytes}`).toEqual(expected)
    }
  })

  test('with a byte order mark, which is not part of the first field', async () => {
    expect(await readWith({ hasByteOrderMark: true, hasIds: false })).toEqual(
      (await readWith({})).map((event) => ({ ...event, eventId: undefined })),
    )
  })
})

describe('after a disconnect', () => {
  async function cut({ server }: Setting, by: 'end' | 'close' | 'reset' = 'close'): Promise<void> {
    for (const stream of server.streams) stream.cut(by)
    await server.until(() => server.openStreams === 0)
  }

  test.each(['end', 'close', 'reset'] as const)('missed events are replayed, without a gap: %s', async (by) => {
    await using setting = await start()
    const { server, agent, emit } = setting
    const events = agent.run('one')[Symbol.asyncIterator]()
    const first = events.next()
    await server.until(() => server.arrived('POST', '/run').length === 1)
    emit(...delta('a'))
    await first
    await cut(setting, by)
    emit(...delta('b'))
    emit(...output)
    const rest = [await events.next(), await events.next()]
    expect(rest).toMatchObject([{ value: { text: 'b', eventId: '2' } }, { value: { text: 'the end', eventId: '3' } }])
    expect(rest.some(({ value }) => value?.gap)).toBe(false)
    expect(server.arrived('GET', '/stream').map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '1'])
    await events.next()
  })

  test.each([
    ['no ids', { hasIds: false, hasReplay: false }, true, true],
    ['no ids, and nothing was missed (the client cannot know that)', { hasIds: false, hasReplay: false }, false, true],
    ['ids, but no replay', { hasIds: true, hasReplay: false }, true, true],
    ['ids but no replay, and nothing was missed', { hasIds: true, hasReplay: false }, false, false],
  ] as const)(
    'one event is marked with a gap if the server cannot replay: %s',
    async (_name, style, isMissed, hasGap) => {
      await using setting = await start({ features: ['tasks'] })
      const { server, agent, emit } = setting
      server.styleOf = () => style
      const run = agent.run('one')
      const events = run[Symbol.asyncIterator]()
      await run.taskId
      const seen: unknown[] = []
      const take = async (text: string): Promise<void> => {
        emit(...delta(text))
        seen.push((await events.next()).value)
      }
      await take('a')
      const next = events.next()
      await cut(setting)
      if (isMissed) emit(...delta('missed'))
      await server.until(() => server.openStreams === 1)
      emit(...delta('b'))
      seen.push((await next).value)
      await take('c')
      emit(...output)
      seen.push((await events.next()).value)
      expect(seen.map((event) => textOf(event as AgentEvent))).toEqual(['a', 'b', 'c', 'the end'])
      expect(seen.map((event) => (event as AgentEvent).gap)).toEqual([
        undefined,
        hasGap || undefined,
        undefined,
        undefined,
      ])
      await events.next()
    },
  )
})

describe('an event', () => {
  test('with invalid JSON is passed on as such, and the stream continues', async () => {
    const script: ScriptedEvent[] = [delta('a'), ['thinking', '{"te'], ['thinking', ''], delta('b'), output]
    await using setting = await start({ script })
    const events = await collect(setting.agent.run('one', guard))
    // The second block is not an event; a block with empty data is one (WHATWG HTML, 9.2.6).
    expect(events.map(textOf)).toEqual(['a', 'stream_error', 'stream_error', 'b', 'the end'])
    const [, broken] = events
    expect(broken).toMatchObject({ type: 'stream_error', raw: '{"te', eventId: '2', error: { code: 'stream_error' } })
    expect(broken?.type === 'stream_error' && StreamError.isInstance(broken.error)).toBe(true)
  })

  test.each(['null', '7', '[]', '"text"', '{}', 'true'])('may contain any JSON: %s', async (json) => {
    const names = ['thinking', 'tool_call', 'tool_result', 'output_delta', 'status', 'novel', undefined]
    await using setting = await start({ script: [...names.map((name): ScriptedEvent => [name, json]), output] })
    const events = await collect(setting.agent.run('one', guard))
    expect(events.map(({ type }) => type)).toEqual([
      'thinking',
      'tool_call',
      'tool_result',
      'output_delta',
      'status',
      'unknown',
      'unknown',
      'output',
    ])
  })

  test('with an unknown name is passed on unchanged', async () => {
    await using setting = await start({ script: [['novel', { a: [1] }], output] })
    const [event] = await collect(setting.agent.run('one'))
    expect(event).toMatchObject({ type: 'unknown', event: 'novel', data: { a: [1] }, eventId: '1' })
  })

  const isOf = (name: string | undefined, data: object): ScriptedEvent => [name, JSON.stringify(data)]

  test.each<[string, ScriptedEvent[]]>([
    [
      'names',
      [
        isOf('progress', { message: 'working' }),
        isOf('heartbeat', {}),
        isOf('text', { text: 'He' }),
        isOf('text', { delta: 'llo' }),
        isOf('done', {}),
      ],
    ],
    [
      'the name in the data',
      [
        isOf(undefined, { type: 'progress', text: 'working' }),
        isOf(undefined, { type: 'heartbeat' }),
        isOf('message', { type: 'text', text: 'He' }),
        isOf(undefined, { type: 'text', content: 'llo' }),
        isOf(undefined, { type: 'done', text: 'Hello' }),
      ],
    ],
    [
      'a payload',
      [
        isOf('thinking', { payload: { text: 'working' } }),
        isOf('heartbeat', { payload: null }),
        isOf(undefined, { type: 'output_delta', payload: { text: 'He' } }),
        isOf(undefined, { type: 'text', payload: { text: 'llo' } }),
        isOf(undefined, { type: 'output', payload: { text: 'Hello' } }),
      ],
    ],
  ])('in the format of a deployed variant is read like that of the contract: %s', async (_name, script) => {
    await using setting = await start({ features: undefined, script })
    const run = setting.agent.run('one', guard)
    expect((await collect(run)).map((event) => [event.type, textOf(event)])).toEqual([
      ['thinking', 'working'],
      ['output_delta', 'He'],
      ['output_delta', 'llo'],
      ['output', 'Hello'],
    ])
    expect(await run.result()).toMatchObject({ output: 'Hello' })
  })

  test('of another task of the agent does not belong to the run', async () => {
    await using setting = await start()
    const { server, agent, emit } = setting
    const run = agent.run('one')
    await run.taskId
    server.api.log(agent.id)?.append('output', { text: 'not mine', taskId: 'task_other' })
    emit(...delta('a'))
    emit(...output)
    expect((await collect(run)).map(textOf)).toEqual(['a', 'the end'])
  })
})

describe('a stream that cannot be opened', () => {
  const refusals: [string, Fault, object][] = [
    ['401', envelope(401, 'unauthorized'), { name: 'UnauthorizedError', status: 401 }],
    ['404', envelope(404, 'not_found'), { name: 'NotFoundError', status: 404 }],
    ['500', envelope(500, 'internal_error'), { name: 'InternalError', status: 500 }],
    ['502 of a proxy', page(502), { name: 'ProviderError', status: 502 }],
    ['an HTML 200', page(200), { name: 'InvalidResponseError', status: 200 }],
    ['JSON', answer(200, '{}', { 'content-type': 'application/json' }), { name: 'InvalidResponseError' }],
    ['no content type', answer(200, 'data: {}\n\n'), { name: 'InvalidResponseError' }],
    ['204', answer(204), { name: 'InvalidResponseError', status: 204 }],
    ['a redirect', answer(302, '', { location: '/' }), { name: 'InvalidResponseError', status: 302 }],
    ['a reset', resetBeforeAnswer, { name: 'ConnectionError' }],
  ]

  test.each(refusals)(
    'rejects all consumers of a run with the typed error, and the run is not posted: %s',
    async (_n, fault, error) => {
      await using setting = await start()
      const { server, agent } = setting
      server.fault(fault, { times: 3, when: isStream })
      const run = agent.run('one')
      const outcomes = await Promise.all([run.taskId, run.result(), collect(run), run.forward({})].map(errorOf))
      expect(outcomes[0]).toMatchObject(error)
      expect(TheazoError.isInstance(outcomes[0])).toBe(true)
      for (const outcome of outcomes) expect(outcome).toBe(outcomes[0])
      expect(server.arrived('POST', '/run')).toEqual([])
      await server.idle()
    },
  )

  test.each(refusals)('rejects the loop over the agent’s events: %s', async (_name, fault, error) => {
    await using setting = await start()
    setting.server.fault(fault, { times: 3, when: isStream })
    expect(await errorOf(collect(setting.agent.stream()))).toMatchObject(error)
    await setting.server.idle()
  })

  test('is retried after a transient fault', async () => {
    await using setting = await start({ script: defaultScript })
    setting.server.fault(page(503), { times: 2, when: isStream })
    expect(await setting.agent.run('one').result()).toMatchObject({ output: 'It is 2.' })
  })
})

describe('a stream that stalls', () => {
  test('is reconnected after the idle time, and continues', async () => {
    await using setting = await start({ script: [delta('a'), delta('b'), output] })
    const { server, agent } = setting
    server.styleOf = (number) => (number === 1 ? { cut: { afterBytes: 120, by: 'stall' } } : {})
    const events = await collect(agent.run('one', { idleTimeoutMs: 60 }))
    expect(events.map(textOf)).toEqual(['a', 'b', 'the end'])
    expect(events.filter(({ gap }) => gap)).toEqual([])
    expect(server.arrived('GET', '/stream')).toHaveLength(2)
  })

  test('is not idle while heartbeats come', async () => {
    await using setting = await start()
    const { server, agent, emit } = setting
    const run = agent.run('one', { idleTimeoutMs: 1000 })
    await run.taskId
    let beats = 0
    const timer = setInterval(() => {
      for (const stream of server.streams) stream.write(': keep-alive\n\n')
      beats += 1
      if (beats === 30) emit(...output)
    }, 50)
    expect(await run.result()).toMatchObject({ output: 'the end' })
    clearInterval(timer)
    expect(server.arrived('GET', '/stream')).toHaveLength(1)
  })

  test.each([
    ['stalls', { idleTimeoutMs: 30 }, 'stall'],
    ['ends', {}, 'end'],
    ['is reset', {}, 'reset'],
  ] as const)('or breaks fails after maxReconnects without an event: it %s', async (_name, options, by) => {
    await using setting = await start({ script: [delta('a'), delta('b')] })
    const { server, agent, emit } = setting
    server.styleOf = (number) => ({ cut: { afterBytes: number === 1 ? 120 : 0, by } })
    const run = agent.run('one', { ...options, maxReconnects: 3 })
    const seen: string[] = []
    const error = await errorOf(run.forward({ onEvent: (event) => seen.push(textOf(event)) }))
    expect(error).toMatchObject({ name: 'StreamError', code: 'stream_error' })
    expect([seen, server.arrived('GET', '/stream').length]).toEqual([['a'], 4])
    await server.idle()
    emit(...output)
    expect(await run.result()).toMatchObject({ output: 'the end' })
  })

  test('of the agent’s own events also fails with a StreamError', async () => {
    await using setting = await start()
    setting.server.styleOf = () => ({ cut: { afterBytes: 0, by: 'end' } })
    expect(await errorOf(collect(setting.agent.stream({ maxReconnects: 2 })))).toMatchObject({ name: 'StreamError' })
    expect(setting.server.arrived('GET', '/stream')).toHaveLength(3)
  })
})

describe('the time limit of a whole stream', () => {
  test('ends a run and the agent’s events with a TimeoutError', async () => {
    await using setting = await start()
    const run = setting.agent.run('one', { timeoutMs: 100 })
    const errors = await Promise.all([
      errorOf(run.result()),
      errorOf(collect(run)),
      errorOf(collect(setting.agent.stream({ timeoutMs: 100 }))),
    ])
    for (const error of errors) {
      expect(TimeoutError.isInstance(error)).toBe(true)
      expect(error).toMatchObject({ code: 'client_timeout' })
      expect(error.message).toContain('100 ms')
    }
    await setting.server.idle()
  })

  test('applies during the POST of the run', async () => {
    await using setting = await start({ timeoutMs: 2000 })
    setting.server.fault(stallBeforeHead, { when: isRun })
    const error = await errorOf(setting.agent.run('one', { timeoutMs: 100 }).result())
    expect(error).toMatchObject({ code: 'client_timeout' })
    expect(error.message).toContain('100 ms')
    await setting.server.idle()
  })

  test('applies while the client polls for a lost run', async () => {
    await using setting = await start()
    const { server } = setting
    const agent = new Theazo(server.options).agent(setting.agent.id)
    const abort = callerAbort()
    server.styleOf = () => ({ cut: { afterBytes: 0, by: 'end' } })
    const run = agent.run('one', { maxReconnects: 0, timeoutMs: 200, signal: abort.signal })
    const error = errorOf(run.result())
    // The client polls every second, so the third request comes after the limit.
    const asked = (): number => server.requests.filter(({ path }) => path.includes('/tasks/')).length
    void server.until(() => asked() === 3).then(() => abort.abort(new Error('the client continued to poll')))
    expect(await error).toMatchObject({ code: 'client_timeout' })
  })

  test.each([2 ** 31, Number.POSITIVE_INFINITY])('may be very long: %d ms', async (ms) => {
    await using setting = await start({ script: defaultScript })
    const options = { timeoutMs: ms, idleTimeoutMs: ms, connectTimeoutMs: ms }
    expect(await setting.agent.run('one', options).result()).toMatchObject({ output: 'It is 2.' })
    expect(setting.server.arrived('GET', '/stream')).toHaveLength(1)
  })
})

describe('the stream of an agent that terminates', () => {
  test('ends after its last event', async () => {
    await using setting = await start()
    const { server, agent } = setting
    const events = collect(agent.stream())
    await server.until(() => server.openStreams === 1)
    await agent.terminate()
    expect((await events).map(({ type }) => type)).toEqual(['status'])
  })

  test('ends when it had terminated before', async () => {
    await using setting = await start({ script: defaultScript })
    const { agent } = setting
    await agent.run('one').result()
    await agent.terminate()
    expect(await collect(agent.stream({ lastEventId: '3' }))).toMatchObject([{ type: 'output' }, { type: 'status' }])
    expect(await collect(agent.stream({ lastEventId: '5' }))).toEqual([])
  })

  test('ends without a status event: the client reads the agent', async () => {
    await using setting = await start({ features: undefined })
    const { server, agent } = setting
    const events = collect(agent.stream())
    await server.until(() => server.openStreams === 1)
    await agent.terminate()
    // The server does not replay, so the status event was missed.
    server.styleOf = () => ({ cut: { afterBytes: 0, by: 'end' } })
    expect((await events).length).toBeLessThanOrEqual(1)
  })

  test('ends its run with an error', async () => {
    await using setting = await start()
    const { agent, emit } = setting
    const run = agent.run('one')
    await run.taskId
    emit('error', { code: 'terminated', message: 'The agent was terminated.' })
    await agent.terminate()
    expect(await errorOf(run.result())).toMatchObject({ code: 'terminated' })
    expect(await collect(run)).toMatchObject([{ type: 'error', code: 'terminated' }])
  })
})

describe('a run', () => {
  test.each([
    [409, 'conflict', 'ConflictError'],
    [402, 'session_limit_exceeded', 'SessionLimitExceededError'],
    [504, 'timeout', 'ServerTimeoutError'],
  ])(
    'which the server refuses with %i rejects with the typed error, and its stream closes',
    async (status, code, name) => {
      await using setting = await start()
      const { server, agent } = setting
      server.fault(envelope(status, code), { when: isRun })
      const run = agent.run('one')
      const errors = await Promise.all([run.taskId, run.result(), collect(run), run.forward({})].map(errorOf))
      for (const error of errors) expect(error).toMatchObject({ name, status })
      await server.until(() => server.openStreams === 0)
      expect(server.arrived('POST', '/run')).toHaveLength(1)
    },
  )

  test('that is refused and has no consumer causes no unhandled rejection', async () => {
    await using setting = await start()
    const { server, agent } = setting
    server.fault(envelope(409, 'conflict'), { when: isRun })
    agent.run('one')
    await server.until(() => server.arrived('POST', '/run').length === 1)
    await server.idle()
    expect(server.openStreams).toBe(0)
  })

  test('opens its stream first, so that no event is missed', async () => {
    await using setting = await start({ script: defaultScript })
    await setting.agent.run('one').result()
    expect(setting.server.requests.map(({ method, path }) => `${method} ${path.split('/').at(-1)}`)).toEqual([
      'GET stream',
      'POST run',
    ])
  })

  test.each([allFeatures, undefined])(
    'whose stream is lost permanently gets its result by polling',
    async (features) => {
      await using setting = await start({ features })
      const { server, clock, agent, emit } = setting
      server.styleOf = () => ({ cut: { afterBytes: 0, by: 'close' } })
      const run = agent.run('one', { maxReconnects: 1 })
      await run.taskId
      server.api.setStatus(agent.id, 'running')
      server.fault(page(503), { times: 3, when: ({ path }) => path.includes('/tasks/') })
      clock.whileAsleep = () => {
        if (clock.sleeps.length === 8) emit(...output)
      }
      expect(await run.result()).toMatchObject({ output: 'the end', taskId: await run.taskId })
    },
  )

  test('that ends with an error rejects with the code of the error', async () => {
    await using setting = await start({
      script: [['error', { code: 'session_limit_exceeded', message: 'Paid up.', resumable: true }]],
    })
    const run = setting.agent.run('one')
    expect(await errorOf(run.result())).toMatchObject({ name: 'SessionLimitExceededError', message: 'Paid up.' })
    expect(await collect(run)).toMatchObject([{ type: 'error', isResumable: true }])
    const received: unknown[] = []
    await run.forward({ onError: (event) => received.push(event) })
    expect(received).toHaveLength(1)
    expect(await errorOf(run.forward({}))).toMatchObject({ code: 'session_limit_exceeded' })
  })

  test('that is cancelled ends with the code of a cancellation', async () => {
    await using setting = await start()
    const run = setting.agent.run('one')
    await run.cancel()
    expect(await errorOf(run.result())).toMatchObject({ code: 'cancelled' })
  })
})

describe('an abort', () => {
  test('before the run sends nothing, and every consumer rejects with its reason', async () => {
    await using setting = await start({ script: [output] })
    const { agent, server } = setting
    const reason = new Error('too late')
    const signal = AbortSignal.abort(reason)
    expect(await errorOf(collect(agent.stream({ signal })))).toBe(reason)
    const runs = [agent.run('one', { signal }), agent.attach('task_1', { signal })]
    for (const run of runs) {
      expect(await errorOf(run.taskId)).toBe(reason)
      expect(await errorOf(run.result())).toBe(reason)
      expect(await errorOf(collect(run))).toBe(reason)
      expect(await errorOf(run.forward({}))).toBe(reason)
    }
    expect(server.requests).toEqual([])
  })

  test('rejects all consumers of a run with its reason, and cancels the task', async () => {
    await using setting = await start({ script: [delta('a')] })
    const { server, agent } = setting
    const abort = callerAbort()
    const reason = new Error('enough')
    const run = agent.run('one', { signal: abort.signal })
    const all = [run.result(), collect(run), run.forward({})].map(errorOf)
    await run.taskId
    await new Promise<void>((resolve) => void run.forward({ onEvent: () => resolve() }).catch(() => {}))
    abort.abort(reason)
    for (const error of await Promise.all(all)) expect(error).toBe(reason)
    expect(await errorOf(run.result())).toBe(reason)
    await server.until(() => server.arrived('POST', '/cancel').length === 1)
    await server.idle()
    expect(server.api.task(agent.id, await run.taskId)?.status).toBe('cancelled')
  })

  test('during the opening of the stream or the POST rejects with its reason', async () => {
    for (const when of [isStream, isRun]) {
      await using setting = await start()
      const { server, agent } = setting
      const abort = callerAbort()
      const reason = new Error('enough')
      server.fault(stallBeforeHead, { when })
      const run = agent.run('one', { signal: abort.signal })
      const all = [run.taskId, run.result(), collect(run), run.forward({})].map(errorOf)
      await server.until(() => server.requests.some(when))
      abort.abort(reason)
      for (const error of await Promise.all(all)) expect(error).toBe(reason)
      await server.idle()
    }
  })

  test.each([
    ['the client polls for a lost run', 0],
    ['the client waits to reconnect', 8],
  ])('while %s rejects with its reason, and cancels the task', async (_name, maxReconnects) => {
    await using setting = await start()
    const { server, clock, agent } = setting
    const abort = callerAbort()
    const reason = new Error('enough')
    server.styleOf = () => ({ cut: { afterBytes: 0, by: 'end' } })
    clock.whileAsleep = () => {
      abort.abort(reason)
      return new Promise(() => {})
    }
    const run = agent.run('one', { signal: abort.signal, maxReconnects })
    expect(await errorOf(run.result())).toBe(reason)
    await settled(setting, () => server.arrived('POST', '/cancel').length)
    expect(server.arrived('POST', '/cancel')).toHaveLength(1)
    await server.idle()
  })

  test('of one result() does not affect other consumers', async () => {
    await using setting = await start()
    const { agent, emit } = setting
    const abort = callerAbort()
    const reason = new Error('enough')
    const run = agent.run('one')
    const events = collect(run)
    await run.taskId
    const result = errorOf(run.result({ signal: abort.signal }))
    await new Promise(setImmediate)
    abort.abort(reason)
    expect(await result).toBe(reason)
    emit(...output)
    expect(await events).toHaveLength(1)
    expect(await run.result()).toMatchObject({ output: 'the end' })
  })

  test('of the agent’s events rejects with its reason and closes the connection', async () => {
    await using setting = await start()
    const abort = callerAbort()
    const reason = new Error('enough')
    const events = errorOf(collect(setting.agent.stream({ signal: abort.signal })))
    await setting.server.until(() => setting.server.openStreams === 1)
    abort.abort(reason)
    expect(await events).toBe(reason)
    await setting.server.until(() => setting.server.openStreams === 0)
  })
})

describe('leaving', () => {
  test('the loop over a run closes the connection; the result is then polled for', async () => {
    await using setting = await start({ script: [delta('a'), delta('b')] })
    const { server, agent, emit } = setting
    const abort = callerAbort()
    const run = agent.run('one', { signal: abort.signal })
    for await (const event of run) {
      expect(textOf(event)).toBe('a')
      break
    }
    await server.until(() => server.openStreams === 0)
    emit(...output)
    expect(await run.result()).toMatchObject({ output: 'the end' })
    expect(server.arrived('POST', '/cancel')).toEqual([])
  })

  test('the loop over the agent’s events closes the connection', async () => {
    await using setting = await start()
    const { server, agent } = setting
    const loop = (async () => {
      for await (const event of agent.stream()) return event.type
      return undefined
    })()
    await server.until(() => server.openStreams === 1)
    server.api.log(agent.id)?.append('status', { status: 'running' })
    expect(await loop).toBe('status')
    await server.until(() => server.openStreams === 0)
  })

  test('one of two loops does not affect the other', async () => {
    await using setting = await start({ script: [delta('a'), delta('b')] })
    const { server, agent, emit } = setting
    const run = agent.run('one')
    const other = collect(run)
    for await (const _event of run) break
    emit(...output)
    expect(await other).toHaveLength(3)
    await server.until(() => server.openStreams === 0)
  })

  test('a scope with `await using` closes the run', async () => {
    await using setting = await start()
    const { server, agent } = setting
    let loop: Promise<AgentEvent[]>
    {
      await using run = agent.run('one')
      loop = collect(run)
      await run.taskId
    }
    expect(await loop).toEqual([])
    await server.until(() => server.openStreams === 0)
  })
})

describe('attach', () => {
  test('follows a run that another client started, from now on or from an event', async () => {
    await using setting = await start({ script: [delta('a'), delta('b')] })
    const { server, agent, emit } = setting
    const first = agent.run('one')
    const taskId = await first.taskId
    const other = new Theazo({ ...server.options, clock: new ClientTestClock() }).agent(agent.id)
    const [fromNow, fromOne, fromStart] = [
      other.attach(taskId),
      other.attach(taskId, { lastEventId: '1' }),
      other.attach(taskId, { lastEventId: '0' }),
    ]
    const all = [fromNow, fromOne, fromStart, first].map(collect)
    await Promise.all([fromNow, fromOne, fromStart].map(({ taskId }) => taskId))
    emit(...delta('c'))
    emit(...output)
    const texts = (await Promise.all(all)).map((events) => events.map(textOf))
    expect(texts).toEqual([
      ['c', 'the end'],
      ['b', 'c', 'the end'],
      ['a', 'b', 'c', 'the end'],
      ['a', 'b', 'c', 'the end'],
    ])
    expect(await fromOne.result()).toMatchObject({ taskId, output: 'the end' })
    expect(fromOne.lastEventId).toBe('4')
    expect(server.arrived('POST', '/run')).toHaveLength(1)
  })

  test.each([allFeatures, undefined])('to a finished run returns its end', async (features) => {
    await using setting = await start({ features, script: defaultScript })
    const { agent } = setting
    const { taskId } = await agent.run('one').result()
    const run = agent.attach(taskId)
    expect(await collect(run)).toMatchObject([{ type: 'output', text: 'It is 2.', gap: true }])
    expect(await run.result()).toMatchObject({ taskId, output: 'It is 2.', cost: { amount: 3 } })
    await setting.server.idle()
  })

  test('to a finished run, from an event, replays the later events', async () => {
    await using setting = await start({ script: defaultScript })
    const { server, agent } = setting
    const { taskId } = await agent.run('one').result()
    const other = new Theazo(server.options).agent(agent.id)
    const run = other.attach(taskId, { lastEventId: '1' })
    const events = await collect(run)
    expect(events.map(({ type }) => type)).toEqual(['tool_call', 'tool_result', 'output'])
    expect(events.filter(({ gap }) => gap)).toEqual([])
  })

  test('to a failed run rejects its result', async () => {
    await using setting = await start({ script: [['error', { code: 'timeout', message: 'Too long.' }]] })
    const { agent } = setting
    const first = agent.run('one')
    await errorOf(first.result())
    expect(await errorOf(agent.attach(await first.taskId).result())).toMatchObject({ code: 'timeout' })
  })

  test('to an unknown task rejects, and closes its stream', async () => {
    await using setting = await start()
    const { server, agent } = setting
    expect(await errorOf(agent.attach('task_none').result())).toMatchObject({ name: 'NotFoundError' })
    await server.until(() => server.openStreams === 0)
  })
})

describe('several consumers of one run', () => {
  test('each receive every event', async () => {
    await using setting = await start({ script: [...deltas(3000), output] })
    const { server, agent } = setting
    const run = agent.run('one')
    const forwarded: string[] = []
    const [a, b, result] = await Promise.all([
      collect(run),
      collect(run),
      run.result(),
      run.forward({
        onEvent: async (event) => {
          forwarded.push(textOf(event))
          if (forwarded.length % 100 === 0) await new Promise(setImmediate)
        },
      }),
    ])
    const expected = [...Array.from({ length: 3000 }, (_, n) => String(n)), 'the end']
    expect([a.map(textOf), b.map(textOf), forwarded]).toEqual([expected, expected, expected])
    expect(result.output).toBe('the end')
    expect(server.arrived('GET', '/stream')).toHaveLength(1)
  })

  test('that start after the end receive the last events, and a mark that some are missing', async () => {
    await using setting = await start({ script: [...deltas(5000), output] })
    const run = setting.agent.run('one')
    expect(await collect(run)).toHaveLength(5001)
    const late = await collect(run)
    expect(late.length).toBeGreaterThanOrEqual(256)
    expect(late.map(({ gap }) => gap)).toEqual([true, ...Array.from({ length: late.length - 1 }, () => undefined)])
    const ids = late.map(({ eventId }) => Number(eventId))
    expect(ids).toEqual(Array.from({ length: late.length }, (_, n) => 5001 - late.length + n + 1))
  })

  test('have the pace of the slowest: a fast one is at most one window ahead', async () => {
    const text = ' '.repeat(1000)
    await using setting = await start({ script: [...deltas(4000, text), output] })
    const { agent } = setting
    const run = agent.run('one')
    const slow = run[Symbol.asyncIterator]()
    const first = await slow.next()
    let count = 0
    const fast = run.forward({ onEvent: () => (count += 1) })
    await settled(setting, () => count)
    expect(count).toBeGreaterThan(100)
    expect(count).toBeLessThan(256 + 2 * 70)
    const rest = await collect(slow)
    await fast
    expect([first.done, rest.length, count]).toEqual([false, 4000, 4001])
  })
})

/** Resolves when a number has not changed during twenty round trips to the server. */
async function settled({ theazo, agent }: Setting, number: () => number): Promise<void> {
  for (let [same, last] = [0, -1]; same < 20;) {
    await theazo.agents.get(agent.id)
    same = number() === last ? same + 1 : 0
    last = number()
  }
}

test.each<[string, (run: Run, wait: () => Promise<void>) => Promise<unknown>]>([
  ['a callback', (run, wait) => run.forward({ onEvent: wait })],
  ['a callback for the event type', (run, wait) => run.forward({ onOutputDelta: wait })],
  [
    'a loop',
    async (run, wait) => {
      for await (const event of run) if (event) await wait()
    },
  ],
])('a slow consumer stops reading, so the server’s socket fills: %s', async (_name, consume) => {
  const total = 8000
  const text = ' '.repeat(8000)
  await using setting = await start({ script: [...deltas(total, text), output] })
  const { server, agent } = setting
  const run = agent.run('one')
  const free = Promise.withResolvers<void>()
  let count = 0
  const consumed = consume(run, async () => {
    count += 1
    await free.promise
  })
  await server.until(() => server.openStreams === 1 && server.arrived('POST', '/run').length === 1)
  const [stream] = server.streams
  await settled(setting, () => stream?.writtenCount ?? 0)
  // The buffers of two sockets contain some megabytes of the 64.
  expect(stream?.writtenCount).toBeGreaterThan(0)
  expect(stream?.writtenCount).toBeLessThan(total / 2)
  expect(count).toBe(1)
  free.resolve()
  await consumed
  expect(await run.result()).toMatchObject({ output: 'the end' })
})

describe('forward', () => {
  test('calls back in order, each awaited, onEvent first', async () => {
    await using setting = await start({ script: [['status', { status: 'running' }], delta('a'), ...defaultScript] })
    const calls: string[] = []
    const callback = (name: string) => async () => {
      calls.push(name)
      await new Promise(setImmediate)
      calls.push(`${name} done`)
    }
    await setting.agent.run('one').forward({
      onEvent: (event) => calls.push(event.type),
      onStatus: callback('status'),
      onOutputDelta: callback('delta'),
      onThinking: callback('thinking'),
      onToolCall: callback('call'),
      onToolResult: callback('result'),
      onOutput: callback('output'),
    })
    const pairs = ['status', 'output_delta', 'thinking', 'tool_call', 'tool_result', 'output']
    const names = ['status', 'delta', 'thinking', 'call', 'result', 'output']
    expect(calls).toEqual(pairs.flatMap((type, n) => [type, names[n], `${names[n]} done`]))
  })

  test.each([
    ['immediately', fail],
    ['later', failLater],
  ])('ends with the error that a callback throws, %s, and closes the connection', async (_name, throwIt) => {
    for (const thrown of [new Error('mine'), new TypeError('x is undefined')]) {
      await using setting = await start({ script: [delta('a'), delta('b'), delta('c')] })
      const { server, agent } = setting
      const seen: string[] = []
      const forwarded = agent.run('one').forward({
        onEvent: (event) => seen.push(textOf(event)),
        onOutputDelta: ({ text }) => (text === 'b' ? throwIt(thrown) : undefined),
      })
      expect(await errorOf(forwarded)).toBe(thrown)
      expect(seen).toEqual(['a', 'b'])
      await server.until(() => server.openStreams === 0)
    }
  })

  test.each([
    ['a callback', (run: Run) => ({ onThinking: () => run.close() })],
    ['onEvent', (run: Run) => ({ onEvent: () => run.close() })],
    [
      'an asynchronous onEvent',
      (run: Run) => ({
        onEvent: async () => {
          await new Promise(setImmediate)
          run.close()
        },
      }),
    ],
  ])('calls no callback after close by %s', async (name, callbacksOf) => {
    await using setting = await start({ script: defaultScript })
    const { server, agent } = setting
    const run = agent.run('one')
    const calls: string[] = []
    const own = callbacksOf(run)
    await run.forward({
      ...(name !== 'a callback' && { onThinking: () => calls.push('thinking') }),
      onToolCall: () => calls.push('call'),
      onOutput: () => calls.push('output'),
      ...own,
    })
    expect(calls).toEqual([])
    await server.until(() => server.openStreams === 0)
  })

  test('ends alone with the reason of its own signal, also between events', async () => {
    await using setting = await start({ script: [delta('a')] })
    const run = setting.agent.run('one')
    const other = collect(run)
    const [between, during] = [new AbortController(), new AbortController()]
    const [reason, seen] = [new Error('enough'), [] as string[]]
    const arrived = Promise.withResolvers<void>()
    const waiting = run.forward({ onEvent: () => arrived.resolve() }, between)
    const stopping = run.forward({ onEvent: ({ type }) => (seen.push(type), during.abort(reason)) }, during)
    expect(await errorOf(stopping)).toBe(reason)
    await arrived.promise
    between.abort(reason)
    expect(await errorOf(waiting)).toBe(reason)
    expect(await errorOf(run.forward({}, { signal: AbortSignal.abort(reason) }))).toBe(reason)
    setting.emit(...output)
    expect((await other).map(textOf)).toEqual(['a', 'the end'])
    expect(seen).toEqual(['output_delta'])
    await setting.server.idle()
  })

  test('ends with the reason of an abort during a callback', async () => {
    await using setting = await start({ script: defaultScript })
    const abort = callerAbort()
    const reason = new Error('enough')
    let calls = 0
    const onEvent = async (): Promise<void> => {
      calls += 1
      abort.abort(reason)
      await new Promise(setImmediate)
    }
    expect(await errorOf(setting.agent.run('one', { signal: abort.signal }).forward({ onEvent }))).toBe(reason)
    expect(calls).toBe(1)
    await setting.server.idle()
  })
})

function fail(error: Error): never {
  throw error
}

async function failLater(error: Error): Promise<never> {
  await new Promise(setImmediate)
  throw error
}
