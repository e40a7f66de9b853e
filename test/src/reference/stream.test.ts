// The event stream of the reference, and the contract's section Events.
import { type ListeningTheazo, listenTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ServerTestClock } from '../support/clock.ts'
import { CheckedCaller, expectError, expectFields, listenWithCallers } from '../support/checked-caller.ts'
import { isIdle, type CheckedEvent } from '../support/checked-event-reader.ts'

let server: ListeningTheazo
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

const names = (events: CheckedEvent[]): string[] => events.map(({ event }) => event)
const ids = (events: CheckedEvent[]): number[] => events.map(({ id }) => id)
const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1)

/** All stored events of an agent, up to its last idle status after a run. */
async function keptOf(agentId: string): Promise<CheckedEvent[]> {
  await using stream = await mocked.stream(agentId, { query: '?lastEventId=0' })
  await stream.until(({ data }) => data.status === 'running')
  await using again = await mocked.stream(agentId, { query: '?lastEventId=0' })
  const isOver = await stream.until(isIdle)
  return await again.until(({ id }) => id === isOver.at(-1)?.id)
}

describe('the stream of an agent', () => {
  test('is server-sent events: a reader that connects before run receives all of them', async () => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId, { headers: { accept: 'text/event-stream' } })
    expect(stream.headers.get('content-type')).toBe('text/event-stream')
    const taskId = await mocked.run(agentId, 'theazo:output="It is 3." theazo:cost=11')
    const events = await stream.until(isIdle)
    const callId = expect.stringMatching(/\S/)
    const cost = { amount: 12, currency: 'usd' }
    expect(events.map(({ event, data }) => [event, data])).toEqual([
      ['status', { status: 'running', taskId }],
      ['thinking', { text: 'I use run_code for this.', taskId }],
      ['tool_call', { id: callId, tool: 'run_code', input: { language: 'python', code: 'print(1)' }, taskId }],
      [
        'tool_result',
        {
          id: events[2]?.data.id,
          tool: 'run_code',
          output: expect.stringContaining('1'),
          isError: false,
          durationMs: expect.any(Number),
          taskId,
        },
      ],
      ['output_delta', { text: 'It is 3.', taskId }],
      ['output', { text: 'It is 3.', cost, taskId }],
      ['status', { status: 'idle', taskId }],
    ])
  })

  test('sends an error in place of the answer', async () => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId)
    const taskId = await mocked.run(agentId, 'theazo:error=provider_error')
    const events = await stream.until(isIdle)
    expect(names(events)).not.toContain('output')
    const errors = events.filter(({ event }) => event === 'error')
    expect(errors).toMatchObject([{ data: { code: 'provider_error', message: expect.any(String), taskId } }])
  })

  test('reports a failed tool, and the run continues', async () => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId)
    await mocked.run(agentId, 'theazo:tool_error')
    const events = await stream.until(isIdle)
    expect(events.find(({ event }) => event === 'tool_result')?.data.isError).toBe(true)
    expect(names(events)).toContain('output')
  })

  test.each<[string, (agentId: string, taskId: string) => Promise<unknown>, string]>([
    ['cancelled', (id, task) => mocked.post(`/agents/${id}/tasks/${task}/cancel`), 'idle'],
    ['terminated', (id) => mocked.post(`/agents/${id}/terminate`), 'terminated'],
  ])('reports the end of a run that was %s with that code', async (code, end, status) => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId)
    const taskId = await mocked.run(agentId, 'theazo:hang')
    await stream.until(({ data }) => data.status === 'running')
    await end(agentId, taskId)
    const events = await stream.until(({ event }) => event === 'status')
    expect(events).toMatchObject([
      { event: 'error', data: { code, taskId } },
      { event: 'status', data: { status } },
    ])
  })

  test('reports a resumable error if a limit pauses the run; a higher limit lets it continue', async () => {
    const sessionId = await mocked.session()
    const agentId = await mocked.agent({}, sessionId)
    await using stream = await mocked.stream(agentId)
    const taskId = await mocked.run(agentId, 'theazo:steps=2 theazo:delay=200')
    await stream.until(({ event }) => event === 'tool_call')
    const limits = { maxComputeMinutes: 0 }
    expect((await mocked.patch(`/sessions/${sessionId}`, { limits })).body.status).toBe('paused')
    const received = await stream.until(({ data }) => data.status === 'paused')
    expect(received.slice(-2)).toMatchObject([
      { event: 'error', data: { code: 'session_limit_exceeded', resumable: true, taskId } },
      { event: 'status', data: { status: 'paused', reason: 'limit', taskId } },
    ])
    expectError(await mocked.post(`/agents/${agentId}/resume`), 402, 'session_limit_exceeded')
    await mocked.patch(`/sessions/${sessionId}`, { limits: null })
    expect((await mocked.post(`/agents/${agentId}/resume`)).body.status).toBe('running')
    expect(names(await stream.until(isIdle))).toContain('output')
  })

  test('is 404 for an unknown agent, and 422 for an invalid event number', async () => {
    expectError(await mocked.get('/agents/agt_none/stream'), 404, 'not_found')
    const agentId = await mocked.agent()
    for (const value of ['x', '-1', '1.5', '1e3', '']) {
      expectFields(await mocked.get(`/agents/${agentId}/stream?lastEventId=${value}`), 'lastEventId')
    }
    expectFields(await mocked.get(`/agents/${agentId}/stream`, { 'last-event-id': 'x' }), 'lastEventId')
  })
})

describe('replay', () => {
  test('each event has a number, which increases by one', async () => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId, { query: '?lastEventId=0' })
    const events = [await stream.next()].filter((event) => event !== undefined)
    for (let run = 0; run < 3; run += 1) {
      await mocked.run(agentId, `theazo:steps=${run}`)
      events.push(...(await stream.until(isIdle)))
    }
    expect(ids(events)).toEqual(upTo(events.length))
    expect(events[0]).toMatchObject({ event: 'status', data: { status: 'idle' } }) // the status before is booting
  })

  test('the server sends a retry time of one second, once', async () => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId, { query: '?lastEventId=0' })
    await stream.next()
    expect(stream.retryMs).toBe(1000)
  })

  test('a comment comes every 15 seconds', async () => {
    const clock = new ServerTestClock('2025-05-01T00:00:00Z')
    await using fresh = await listenTheazo({ port: 0, clock })
    const caller = await CheckedCaller.to(fresh, (await fresh.keys.create({ mode: 'test', plan: 'team' })).key)
    const agentId = await caller.agent()
    await using stream = await caller.stream(agentId)
    for (let n = 0; n < 3; n += 1) await clock.advance(15_000)
    await caller.post(`/agents/${agentId}/terminate`)
    await stream.toEnd()
    expect(stream.comments).toHaveLength(3)
  })

  test.each(['Last-Event-ID', '?lastEventId='])('%s resumes after that event', async (way) => {
    const agentId = await mocked.agent()
    await mocked.run(agentId, 'hello')
    const all = await keptOf(agentId)
    expect(ids(all)).toEqual(upTo(all.length))
    for (const last of [0, 1, 4, all.length - 1]) {
      const from =
        way === 'Last-Event-ID' ? { headers: { 'last-event-id': String(last) } } : { query: `?lastEventId=${last}` }
      await using stream = await mocked.stream(agentId, from)
      expect(await stream.until(({ id }) => id === all.length)).toEqual(all.slice(last))
    }
  })

  test('the header takes precedence if both are given, because a browser sends it when it reconnects', async () => {
    const agentId = await mocked.agent()
    await mocked.run(agentId, 'hello')
    const all = await keptOf(agentId)
    const both = { headers: { 'last-event-id': '3' }, query: '?lastEventId=1' }
    await using stream = await mocked.stream(agentId, both)
    expect((await stream.next())?.id).toBe(4)
    expect(all.length).toBeGreaterThan(4)
  })

  test('without a number the stream starts with new events', async () => {
    const agentId = await mocked.agent()
    await mocked.run(agentId, 'the first')
    const before = await keptOf(agentId)
    await using stream = await mocked.stream(agentId)
    const taskId = await mocked.run(agentId, 'the second')
    const events = await stream.until(isIdle)
    expect(events[0]?.id).toBe(before.length + 1)
    expect(events.every(({ data }) => data.taskId === taskId)).toBe(true)
  })

  test('replayed and live events follow each other without a gap or a repetition', async () => {
    const agentId = await mocked.agent()
    const answer = 'word '.repeat(40_000)
    await mocked.run(agentId, `theazo:output="${answer}"`)
    const streams = await Promise.all(
      Array.from({ length: 5 }, () => mocked.stream(agentId, { headers: { 'last-event-id': '0' } })),
    )
    const all = await Promise.all(
      streams.map((stream) =>
        stream.until(({ event, data }) => event === 'status' && data.taskId && data.status === 'idle'),
      ),
    )
    for (const events of all) expect(ids(events)).toEqual(upTo(events.length))
    const deltas = all[0]?.filter(({ event }) => event === 'output_delta') ?? []
    expect([deltas.length > 40, deltas.map(({ data }) => data.text).join('')]).toEqual([true, answer])
    for (const stream of streams) await stream[Symbol.asyncDispose]()
  })

  test('numbers continue after a restart, and stored events are replayed', async () => {
    const { mkdtemp, rm } = await import('node:fs/promises')
    const dataDir = await mkdtemp('/tmp/theazo-stream-')
    let [agentId, key] = ['', '']
    let before: CheckedEvent[] = []
    {
      await using first = await listenTheazo({ port: 0, dataDir })
      ;({ key } = await first.keys.create({ mode: 'test', plan: 'team' }))
      const caller = await CheckedCaller.to(first, key)
      agentId = await caller.agent()
      await using stream = await caller.stream(agentId, { query: '?lastEventId=0' })
      before = [await stream.next()].filter((event) => event !== undefined)
      await caller.run(agentId, 'hello')
      before.push(...(await stream.until(isIdle)))
    }
    {
      await using second = await listenTheazo({ port: 0, dataDir })
      const caller = await CheckedCaller.to(second, key)
      await using stream = await caller.stream(agentId, { query: '?lastEventId=0' })
      expect(await stream.until(({ id }) => id === before.length)).toEqual(before)
      await caller.run(agentId, 'again')
      const after = await stream.until(isIdle)
      expect(ids([...before, ...after])).toEqual(upTo(before.length + after.length))
    }
    await rm(dataDir, { recursive: true })
  })
})

describe('the end of an agent', () => {
  test('ends its open streams after their last event', async () => {
    const agentId = await mocked.agent()
    await using stream = await mocked.stream(agentId)
    await mocked.post(`/agents/${agentId}/terminate`)
    expect(await stream.toEnd()).toMatchObject([{ event: 'status', data: { status: 'terminated' } }])
  })

  test('keeps the stored events, which can be replayed from the start or from a number; the stream then ends', async () => {
    const agentId = await mocked.agent()
    await mocked.run(agentId, 'hello')
    const kept = await keptOf(agentId)
    await mocked.post(`/agents/${agentId}/terminate`)
    await using whole = await mocked.stream(agentId)
    const all = await whole.toEnd()
    expect(all.slice(0, -1)).toEqual(kept)
    expect(all.at(-1)).toMatchObject({ event: 'status', data: { status: 'terminated' } })
    for (const last of [3, all.length, all.length + 10]) {
      await using rest = await mocked.stream(agentId, { headers: { 'last-event-id': String(last) } })
      expect(await rest.toEnd()).toEqual(all.slice(last))
    }
  })
})
