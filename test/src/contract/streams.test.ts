// Event streams (contract, Events) over real connections, on a clock that the test moves.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { createLocalTheazo, type ListeningTheazo, listenTheazo } from '@theazo/server'
import { array, asyncProperty, assert, nat } from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AgentStream, type StreamedEvent } from '../support/agent-stream.ts'
import { ApiCaller } from '../support/api-caller.ts'
import { ServerTestClock } from '../support/clock.ts'
import { root } from '../support/server-process.ts'
import { metricOf, metricsOf } from '../support/metrics.ts'

const hourMs = 3_600_000
/** The bytes that a server buffers for one reader. */
const maxBufferedBytes = 1024 * 1024

let clock: ServerTestClock
let server: ListeningTheazo
let api: ApiCaller
beforeAll(async () => {
  clock = new ServerTestClock()
  server = await listenTheazo({ port: 0, clock })
  api = await callerOf(server)
})
afterAll(() => server[Symbol.asyncDispose]())

async function callerOf({ keys, url }: ListeningTheazo): Promise<ApiCaller> {
  const { key } = await keys.create({ mode: 'test', plan: 'enterprise' })
  return new ApiCaller({ baseUrl: url, apiKey: key })
}

/** An agent without tools: its answer is the task. */
async function newAgent(by = api, tools?: string[]): Promise<string> {
  const { body: session } = await by.post('/sessions', { userId: 'streams' })
  return (await by.post(`/sessions/${session.id}/agents`, { tools })).body.id
}

async function run(agentId: string, task: string, by = api): Promise<string> {
  const { status, body } = await by.post(`/agents/${agentId}/run`, { task })
  expect(status).toBe(202)
  return body.taskId
}

const streamsOpen = (): Promise<number> => metricOf(server.url, 'theazo_streams_open')
const eventually = <T>(ask: () => T) => expect.poll(ask, { interval: 5, timeout: 30_000 })
const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, n) => n + first)
const idsOf = ({ events }: AgentStream): number[] => events.map(({ id }) => id)
const isEndOf =
  (taskId: string) =>
  ({ event, data }: { event: string; data: { status?: string; taskId?: string } }): boolean =>
    event === 'status' && data.status === 'idle' && data.taskId === taskId

test('each of a thousand readers of a hundred agents gets every event of its agent once, in order', async () => {
  const agents = await Promise.all(Array.from({ length: 100 }, () => newAgent()))
  const readers = await Promise.all(
    agents.map((id) => Promise.all(Array.from({ length: 10 }, () => AgentStream.open(api, id)))),
  )
  expect(await streamsOpen()).toBe(1000)
  const tasks = await Promise.all(agents.map((id, n) => run(id, `theazo:steps=3 theazo:output="agent ${n} is done"`)))
  for (const [n, streams] of readers.entries()) {
    await Promise.all(streams.map((stream) => stream.first(isEndOf(tasks[n] ?? ''))))
    for (const stream of streams) {
      // Event 1, idle, was emitted before a reader connected. Then come 9 events of tools, a delta, the answer and 2 status events.
      expect(idsOf(stream)).toEqual(upTo(14, 2))
      expect(stream.events.map(({ event }) => event)).toEqual([
        'status',
        ...upTo(3).flatMap(() => ['thinking', 'tool_call', 'tool_result']),
        'output_delta',
        'output',
        'status',
      ])
      expect(stream.events.filter(({ event }) => event === 'output').map(({ data }) => data)).toEqual([
        { text: `agent ${n} is done`, cost: { amount: 4, currency: 'usd' }, taskId: tasks[n] },
      ])
      expect(stream.events).toEqual(streams[0]?.events)
      expect(stream.retries).toEqual([1000])
    }
  }
  await Promise.all(agents.map((id) => api.post(`/agents/${id}/terminate`)))
  await Promise.all(readers.flat().map((stream) => stream.ended))
  expect(readers.flat().map((stream) => stream.events.at(-1)?.data.status)).toEqual(Array(1000).fill('terminated'))
  expect(await streamsOpen()).toBe(0)
}, 120_000)

describe('replay', () => {
  test('continues after any disconnect while events are written: none is lost or repeated', async () => {
    const property = asyncProperty(
      array(array(nat(40), { maxLength: 8 }), { minLength: 2, maxLength: 6 }),
      async (readers) => {
        const id = await newAgent(api)
        const isLast = ({ data }: StreamedEvent): boolean => data.status === 'terminated'
        // Each reader disconnects after this number of events and resumes at its last event; at the end it reads all.
        const read = async (cuts: number[]): Promise<number[]> => {
          const seen: number[] = []
          for (const cut of [...cuts, Number.POSITIVE_INFINITY]) {
            await using stream = await AgentStream.open(api, id, seen.at(-1) ?? 0)
            await stream.first((event) => isLast(event) || stream.events.length >= cut)
            if (cut < stream.events.length) seen.push(...idsOf(stream).slice(0, cut))
            else {
              await stream.first(isLast)
              seen.push(...idsOf(stream))
              break
            }
          }
          return seen
        }
        const reading = Promise.all(readers.map(read))
        const taskId = await run(id, 'theazo:steps=50 theazo:output=done')
        const task = async () => (await api.get(`/agents/${id}/tasks/${taskId}`)).body.status
        await eventually(task).toBe('completed')
        await api.post(`/agents/${id}/terminate`)
        for (const seen of await reading) expect(seen).toEqual(upTo(156))
      },
    )
    await assert(property, { numRuns: 8, endOnFailure: true })
  }, 120_000)

  test('of an ended agent sends all stored events, from the start or after any event, and ends', async () => {
    const id = await newAgent()
    const live = await AgentStream.open(api, id, 0)
    await live.first(isEndOf(await run(id, 'theazo:output=done')))
    await api.post(`/agents/${id}/terminate`)
    await live.ended
    const last = live.events.at(-1)?.id ?? 0
    expect(idsOf(live)).toEqual(upTo(last))
    for (const lastEventId of [undefined, ...upTo(last, 0)]) {
      const stream = await AgentStream.open(api, id, lastEventId)
      await stream.ended
      expect(stream.events).toEqual(live.events.slice(lastEventId ?? 0))
    }
    const response = await api.open(`/agents/${id}/stream?lastEventId=${last - 1}`)
    expect(await response.text()).toBe(`retry: 1000\n\nid: ${last}\nevent: status\ndata: {"status":"terminated"}\n\n`)
  })

  test('from an invalid event number is 422; a stream without a number starts with new events', async () => {
    const id = await newAgent()
    for (const lastEventId of ['x', '-1', '1.5', '']) {
      expect((await api.open(`/agents/${id}/stream`, { headers: { 'last-event-id': lastEventId } })).status).toBe(422)
      expect((await api.open(`/agents/${id}/stream?lastEventId=${lastEventId}`)).status).toBe(422)
    }
    await using stream = await AgentStream.open(api, id)
    await stream.first(isEndOf(await run(id, 'go')))
    expect(stream.events[0]).toMatchObject({ id: 2, event: 'status', data: { status: 'running' } })
  })

  test('sends events within the retention time; event numbers continue', async () => {
    const own = new ServerTestClock()
    await using other = await listenTheazo({ port: 0, clock: own, eventRetentionMs: 2 * hourMs })
    const hourlyTimers = own.dueIn(hourMs)
    const by = await callerOf(other)
    const id = await newAgent(by, [])
    const advance = async (ms: number): Promise<void> => {
      own.jump(ms)
      await eventually(() => own.dueIn(hourMs)).toBe(hourlyTimers) // each starts again when its work has ended
    }
    const read = async (lastEventId: number): Promise<number[]> => {
      await using live = await AgentStream.open(by, id, lastEventId)
      await live.first(isEndOf(await run(id, 'theazo:output=x', by)))
      return idsOf(live)
    }
    expect(await read(0)).toEqual(upTo(5))
    await advance(hourMs)
    await advance(hourMs)
    expect(await read(3)).toEqual(upTo(9, 4))
    await advance(hourMs)
    // The first task is older than two hours, the second is not.
    expect(await read(3)).toEqual(upTo(13, 6))
    await advance(hourMs)
    await advance(hourMs)
    await advance(hourMs)
    expect(await read(0)).toEqual(upTo(17, 14))
  })
})

test('a stream without events sends a comment every 15 s', async () => {
  const id = await newAgent()
  await using stream = await AgentStream.open(api, id)
  clock.jump(15_000 - (clock.monotonic() % 15_000) - 1)
  for (let n = 1; n <= 3; n += 1) {
    const beaten = clock.timerStarted(15_000)
    clock.jump(1)
    await beaten
    await eventually(() => stream.comments.length).toBe(n)
    clock.jump(14_999)
  }
  expect([stream.comments, stream.events]).toEqual([['', '', ''], []])
})

describe('a stream whose reader disconnects', () => {
  test('is released, however many there were and whatever its agent does', async () => {
    const ids = await Promise.all(Array.from({ length: 5 }, () => newAgent()))
    const streams = await Promise.all(upTo(50).map((n) => AgentStream.open(api, ids[n % 5] ?? '')))
    expect(await streamsOpen()).toBe(50)
    await Promise.all(streams.slice(0, 30).map((stream) => stream.close()))
    await eventually(() => streamsOpen()).toBe(20)
    await Promise.all(ids.map((id) => run(id, 'theazo:steps=5')))
    await Promise.all(streams.slice(30).map((stream) => stream.close()))
    await eventually(() => streamsOpen()).toBe(0)
  })

  test('is never opened if it was refused', async () => {
    expect((await api.open('/agents/agt_none/stream')).status).toBe(404)
    expect(await streamsOpen()).toBe(0)
  })

  test('is released in a server without a port, too', async () => {
    await using local = await createLocalTheazo()
    const { key } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
    const by = new ApiCaller({ ...local, apiKey: key })
    const id = await newAgent(by)
    const open = () => metricsOf(local.baseUrl, local.fetch)
    const stream = await AgentStream.open(by, id)
    expect(await open()).toContain('theazo_streams_open 1\n')
    await stream.close()
    expect(await open()).toContain('theazo_streams_open 0\n')
  })
})

test('events of any size arrive, live or replayed, at a reader that reconnects when the server disconnects it', async () => {
  const id = await newAgent(api, [])
  const sizeBytes = 3 * maxBufferedBytes
  const first = await AgentStream.open(api, id)
  const taskId = await run(id, `theazo:output_bytes=${sizeBytes}`)
  await first.first(({ event }) => event === 'output_delta')
  for (const connections of [[first], []]) {
    const events = connections.flatMap((stream) => stream.events)
    while (!events.some(isEndOf(taskId))) {
      const stream = connections.pop() ?? (await AgentStream.open(api, id, events.at(-1)?.id ?? 1))
      const before = events.length
      await Promise.race([stream.ended, stream.first(isEndOf(taskId)).catch(() => {})])
      events.splice(before, 0, ...stream.events.slice(stream === first ? before : 0))
      await stream.close()
      expect(events.length).toBeGreaterThan(before)
    }
    expect(events.map(({ event, data }) => [event, data.text?.length])).toEqual([
      ['status', undefined],
      ['output_delta', sizeBytes],
      ['output', sizeBytes],
      ['status', undefined],
    ])
  }
})

test('a reader that was behind while events were pruned continues with new events', () => {
  const program = join(root, 'test/fixture/pruned-stream.ts')
  const { status, stdout } = spawnSync(process.execPath, [program], { encoding: 'utf8', timeout: 30_000 })
  expect(status).toBe(0)
  // The events sent before and after; the events between them were pruned.
  const numbers: number[] = JSON.parse(stdout)
  expect(numbers).toEqual([...upTo(9), ...upTo(17, 14)])
})

describe('a reader that does not read', () => {
  /** The bytes of one task: its answer once as a delta, and once as a whole. */
  const answer = 'output_bytes=300000'
  const answerBytes = 300_000
  const tasks = 40

  /** A connection whose other end reads nothing until the test calls `readAll`. */
  async function openUnread(agentId: string): Promise<Socket> {
    const { hostname, port } = new URL(server.url)
    const socket = connect({ host: hostname, port: Number(port) })
    socket.pause()
    await once(socket, 'connect')
    const { key } = await server.keys.create({ mode: 'test', plan: 'enterprise' })
    const head = [
      `GET /v1/agents/${agentId}/stream HTTP/1.1`,
      `host: ${hostname}`,
      `authorization: Bearer ${key}`,
      'connection: close',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    return socket
  }

  /** Reads everything that was sent. */
  async function readAll(socket: Socket): Promise<string> {
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk)).on('error', () => {})
    socket.resume()
    await once(socket, 'close')
    return Buffer.concat(chunks).toString()
  }

  test('is disconnected with a comment and misses nothing when it reconnects; other readers are not delayed', async () => {
    const id = await newAgent(api, [])
    const open = await streamsOpen()
    await using reader = await AgentStream.open(api, id)
    const socket = await openUnread(id)
    await eventually(() => streamsOpen()).toBe(open + 2)
    for (let n = 0; n < tasks; n += 1) await reader.first(isEndOf(await run(id, `theazo:${answer}`)))
    const last = 1 + 4 * tasks
    expect(idsOf(reader)).toEqual(upTo(last, 2))
    expect(await streamsOpen()).toBe(open + 1)

    const text = await readAll(socket)
    expect(text.slice(-200)).toContain(': too slow: connect again with Last-Event-ID\n\n')
    // Besides the buffers of the two sockets (at most 6 and 4 MiB on Linux) the server buffered no more than the reader's share.
    expect(text.length).toBeLessThan(10 * 1024 * 1024 + 2 * maxBufferedBytes)
    expect(text.length).toBeLessThan(answerBytes * 2 * tasks * 0.6)
    const seen = Array.from(text.matchAll(/\nid: (\d+)\n/g), ([, number]) => Number(number))
    expect(seen).toEqual(upTo(seen.at(-1) ?? 0, 2))
    expect(seen.length).toBeLessThan(last - 1)
    await using back = await AgentStream.open(api, id, seen.at(-1))
    await back.first(({ id: number }) => number === last)
    expect([...seen, ...idsOf(back)]).toEqual(upTo(last, 2))
  })

  test('is disconnected if it does not read the rest within 30 s', async () => {
    const id = await newAgent(api, [])
    const open = await streamsOpen()
    await using reader = await AgentStream.open(api, id)
    const socket = await openUnread(id)
    await eventually(() => streamsOpen()).toBe(open + 2)
    for (let n = 0; n < tasks; n += 1) await reader.first(isEndOf(await run(id, `theazo:${answer}`)))
    expect(await streamsOpen()).toBe(open + 1)
    clock.jump(30_000)
    // The server has closed its end before this end reads anything.
    const text = await readAll(socket)
    expect(text).not.toContain('too slow')
    expect(text.endsWith('0\r\n\r\n')).toBe(false)
  })

  test('during a replay is waited for while it reads slowly, and disconnected after 30 s without a read', async () => {
    const own = new ServerTestClock()
    await using local = await createLocalTheazo({ clock: own })
    const { key } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
    const by = new ApiCaller({ ...local, apiKey: key })
    const id = await newAgent(by, [])
    await using reader = await AgentStream.open(by, id)
    for (let n = 0; n < 10; n += 1) await reader.first(isEndOf(await run(id, `theazo:${answer}`, by)))
    const replay = async () => (await by.open(`/agents/${id}/stream?lastEventId=0`)).body?.getReader()

    const slowReader = await replay()
    let text = ''
    while (!text.slice(-200).includes('\nid: 41\n')) {
      text += Buffer.from((await slowReader?.read())?.value ?? []).toString()
      own.jump(29_000)
    }
    expect(Array.from(text.matchAll(/\nid: (\d+)\n/g), ([, number]) => Number(number))).toEqual(upTo(41))
    await slowReader?.cancel()

    const waited = own.timerStarted(30_000)
    const gone = await replay()
    await waited
    await setImmediate() // the server has filled the buffers
    own.jump(30_000)
    let rest = ''
    for (let chunk = await gone?.read(); chunk?.value; chunk = await gone?.read())
      rest += Buffer.from(chunk.value).toString()
    expect(rest.slice(-100)).toContain(': too slow: connect again with Last-Event-ID\n\n')
    expect(rest.length).toBeLessThan(2 * maxBufferedBytes)
  })
})
