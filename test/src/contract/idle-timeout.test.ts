// Agents that end automatically if nobody uses them (contract, Agents: `idleTimeout`).
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { IdleTimeout } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AgentStream } from '../support/agent-stream.ts'
import { type Answer, ApiCaller } from '../support/api-caller.ts'
import { ServerTestClock } from '../support/clock.ts'
import { metricOf } from '../support/metrics.ts'

const secondMs = 1_000
const minuteMs = 60_000
const start = Date.UTC(2030, 5, 15, 12)
const toTerminate = { seconds: 60, action: 'terminate' }
const toPause = { seconds: 60, action: 'pause' }

let clock: ServerTestClock
let dataDir = ''
let local: LocalTheazo
let log = ''
/** With a test key: mocked agents. */
let mocked: ApiCaller
let testKey = ''
/** With the embedded key: real sandboxes. */
let live: ApiCaller

beforeEach(async () => {
  clock = new ServerTestClock(start)
  dataDir = mkdtempSync(join(tmpdir(), 'theazo-idle-'))
  log = ''
  testKey = ''
  await open()
})
afterEach(async () => {
  await local[Symbol.asyncDispose]()
  rmSync(dataDir, { recursive: true })
})

/** Starts the server on the data folder. The previous server must have ended. */
async function open(idleTimeout?: IdleTimeout): Promise<void> {
  local = await createLocalTheazo({
    dataDir,
    clock,
    idleTimeout,
    isMetricsPublic: true,
    log: { write: (line) => void (log += line) },
  })
  testKey ||= (await local.keys.create({ mode: 'test', plan: 'enterprise' })).key
  mocked = new ApiCaller({ ...local, apiKey: testKey })
  live = new ApiCaller(local)
  // No other timer of the server is due at the same time as an idle timeout.
  await clock.advance(500)
}

async function newSession(api: ApiCaller, limits: object = {}): Promise<string> {
  return (await api.post('/sessions', { userId: 'idle', limits })).body.id
}

async function newAgent(api: ApiCaller, options: object): Promise<string> {
  const { status, body } = await api.post(`/sessions/${await newSession(api)}/agents`, options)
  expect([status, body.status]).toEqual([201, 'idle'])
  return body.id
}

const agentOf = async (api: ApiCaller, id: string) => (await api.get(`/agents/${id}`)).body
const statusOf = async (api: ApiCaller, id: string) => (await agentOf(api, id)).status
const exec = (api: ApiCaller, id: string, code: string) => api.post(`/agents/${id}/exec`, { lang: 'bash', code })

/** Lets time pass until the server has handled every idle timeout: an unused control agent is then terminated. */
async function pass(ms: number): Promise<void> {
  if (ms < minuteMs) return await clock.advance(ms)
  const controlId = await newAgent(mocked, { idleTimeout: toTerminate })
  await clock.advance(ms)
  await expect.poll(() => statusOf(mocked, controlId)).toBe('terminated')
  await clock.advance(0)
}

/** The agent does not change for a minute less a millisecond, and then ends. */
async function expectEndAfterAMinute(api: ApiCaller, id: string, end = 'terminated', before = 'idle'): Promise<void> {
  await clock.advance(minuteMs - 1)
  expect(await statusOf(api, id)).toBe(before)
  await clock.advance(1)
  await expect.poll(() => statusOf(api, id)).toBe(end)
}

describe('an unused agent', () => {
  test('is terminated after its idleTimeout, and the agent and every refused call give the reason', async () => {
    const id = await newAgent(mocked, { idleTimeout: { seconds: 900, action: 'terminate' } })
    await using stream = await AgentStream.open(mocked, await newAgent(mocked, {}))
    await clock.advance(900 * secondMs - 1)
    expect(await agentOf(mocked, id)).not.toHaveProperty('reason')
    expect(await statusOf(mocked, id)).toBe('idle')
    await clock.advance(1)
    await expect.poll(() => statusOf(mocked, id)).toBe('terminated')
    expect((await agentOf(mocked, id)).reason).toBe('It was idle for 900 s (idleTimeout).')

    const because = `Agent ${id} is terminated: it was idle for 900 s (idleTimeout). Create another agent.`
    for (const answer of [
      await exec(mocked, id, 'true'),
      await mocked.post(`/agents/${id}/run`, { task: 'x' }),
      await mocked.post(`/agents/${id}/pause`),
      await mocked.post(`/agents/${id}/resume`),
    ]) {
      expect([answer.status, answer.body.error.message]).toEqual([409, because])
    }
    await using replay = await AgentStream.open(mocked, id, 0)
    await replay.ended
    expect(replay.events.map(({ event, data }) => [event, data])).toEqual([
      ['status', { status: 'idle' }],
      ['status', { status: 'terminated' }],
    ])
    // A later terminate by a caller does not change the reason.
    expect((await mocked.post(`/agents/${id}/terminate`)).body).toEqual({ ok: true })
    expect((await agentOf(mocked, id)).reason).toBe('It was idle for 900 s (idleTimeout).')
    expect(stream.events).toEqual([])
  })

  test('loses its sandbox and its files, and then costs nothing', async () => {
    const id = await newAgent(live, { idleTimeout: toTerminate })
    expect((await exec(live, id, 'echo text > file')).status).toBe(200)
    const places = process.getuid?.() === 0 ? ['/var/lib/theazo/agents'] : [dataDir]
    const folders = () => execFileSync('find', [...places, '-type', 'd', '-name', id, '-prune'], { encoding: 'utf8' })
    expect(folders()).toContain(id)
    await expectEndAfterAMinute(live, id)
    await expect.poll(folders).toBe('')
    await clock.advance(10 * minuteMs)
    expect((await live.get('/usage/summary')).body.compute.minutes).toBeCloseTo(1, 4)
  })

  test('is paused if its action is pause: files stay, time costs nothing, and a resume restarts the idle time', async () => {
    const id = await newAgent(live, { idleTimeout: toPause })
    expect((await exec(live, id, 'echo kept > file')).status).toBe(200)
    await expectEndAfterAMinute(live, id, 'paused')
    expect((await agentOf(live, id)).reason).toBe('It was idle for 60 s (idleTimeout).')
    await clock.advance(10 * minuteMs)
    expect(await statusOf(live, id)).toBe('paused')
    expect((await live.get('/usage/summary')).body.compute.minutes).toBeCloseTo(1, 4)
    const refused = await exec(live, id, 'cat file')
    const because = `Agent ${id} is paused: it was idle for 60 s (idleTimeout). Resume it first.`
    expect([refused.status, refused.body.error.message]).toEqual([409, because])

    const { body: resumed } = await live.post(`/agents/${id}/resume`)
    expect([resumed.status, resumed.reason]).toEqual(['idle', undefined])
    await clock.advance(30 * secondMs)
    expect((await exec(live, id, 'cat file')).body.stdout).toBe('kept\n')
    await expectEndAfterAMinute(live, id, 'paused')
    expect((await live.get('/usage/summary')).body.compute.minutes).toBeCloseTo(2.5, 4)
  })

  test('does not end without an idleTimeout', async () => {
    const id = await newAgent(mocked, {})
    await pass(86_400 * secondMs)
    expect(await agentOf(mocked, id)).not.toHaveProperty('idleTimeout')
    expect(await statusOf(mocked, id)).toBe('idle')
  })

  test('frees its slot and its name in the session', async () => {
    const path = `/sessions/${await newSession(mocked, { maxAgents: 1 })}/agents`
    const options = { name: 'main', idleTimeout: toTerminate }
    const first = await mocked.post(path, options)
    expect((await mocked.post(path, {})).status).toBe(402)
    await expectEndAfterAMinute(mocked, first.body.id)
    const next = await mocked.post(path, options)
    expect([next.status, next.body.id === first.body.id]).toEqual([201, false])
  })

  test('ends together with all others that are due at the same time', async () => {
    const path = `/sessions/${await newSession(mocked)}/agents`
    await Promise.all(Array.from({ length: 300 }, () => mocked.post(path, { idleTimeout: toTerminate })))
    await clock.advance(minuteMs)
    const idle = async () => (await mocked.get(`${path}?status=idle`)).body.data.length
    await expect.poll(idle).toBe(0)
  })
})

describe('the idle time', () => {
  test('starts again at the end of each exec', async () => {
    const id = await newAgent(mocked, { idleTimeout: toTerminate })
    for (let count = 0; count < 5; count += 1) {
      await clock.advance(40 * secondMs)
      expect((await exec(mocked, id, 'echo on')).body.stdout).toBe('on\n')
    }
    await expectEndAfterAMinute(mocked, id)
  })

  test('does not run during an exec: it counts from the end of the exec', async () => {
    const id = await newAgent(mocked, { idleTimeout: toTerminate })
    const running = exec(mocked, id, '# theazo:delay=600000')
    await expect.poll(() => clock.dueIn(120 * secondMs)).toBe(1)
    await pass(119 * secondMs)
    expect(await statusOf(mocked, id)).toBe('idle')
    await clock.advance(secondMs)
    expect((await running).status).toBe(504)
    await expectEndAfterAMinute(mocked, id)
  })

  test('does not run while an event stream is open', async () => {
    const id = await newAgent(mocked, { idleTimeout: toTerminate })
    const stream = await AgentStream.open(mocked, id)
    await pass(60 * minuteMs)
    expect(await statusOf(mocked, id)).toBe('idle')
    await stream.close()
    const metrics = async () => await (await mocked.open('/../metrics')).text()
    await expect.poll(metrics).toContain('theazo_streams_open 0')
    await expectEndAfterAMinute(mocked, id)
  })

  test('does not run during a run', async () => {
    const id = await newAgent(mocked, { idleTimeout: toTerminate, timeout: 86_400 })
    const { taskId } = (await mocked.post(`/agents/${id}/run`, { task: 'theazo:hang' })).body
    await pass(60 * minuteMs)
    expect(await agentOf(mocked, id)).toMatchObject({ status: 'running', task: { status: 'running' } })
    expect((await mocked.post(`/agents/${id}/tasks/${taskId}/cancel`)).status).toBe(200)
    await expectEndAfterAMinute(mocked, id)
  })

  test('is not restarted by refused requests or by reads', async () => {
    const { key } = await local.keys.create({ mode: 'test', plan: 'enterprise', project: 'other' })
    const stranger = new ApiCaller({ ...local, apiKey: key })
    const id = await newAgent(mocked, { idleTimeout: toTerminate })
    await clock.advance(40 * secondMs)
    expect((await exec(stranger, id, 'true')).status).toBe(404)
    expect((await stranger.open(`/agents/${id}/stream`)).status).toBe(404)
    expect((await mocked.post(`/agents/${id}/run`, { task: 'theazo:refuse=conflict' })).status).toBe(409)
    expect((await mocked.post(`/agents/${id}/resume`)).status).toBe(409)
    expect(await statusOf(mocked, id)).toBe('idle')
    await clock.advance(20 * secondMs)
    await expect.poll(() => statusOf(mocked, id)).toBe('terminated')
  })

  test('counts from the pause if a caller pauses the agent: a forgotten agent is terminated', async () => {
    const id = await newAgent(mocked, { idleTimeout: toTerminate })
    await clock.advance(30 * secondMs)
    const { taskId } = (await mocked.post(`/agents/${id}/run`, { task: 'theazo:delay=50 theazo:steps=1000' })).body
    expect((await mocked.post(`/agents/${id}/pause`)).body.status).toBe('paused')
    await expectEndAfterAMinute(mocked, id, 'terminated', 'paused')
    expect((await agentOf(mocked, id)).task).toMatchObject({ id: taskId, status: 'cancelled' })
  })

  test('has no effect on a paused agent whose action is pause, until it is resumed', async () => {
    const id = await newAgent(mocked, { idleTimeout: toPause })
    expect((await mocked.post(`/agents/${id}/pause`)).body.status).toBe('paused')
    await pass(60 * minuteMs)
    expect((await agentOf(mocked, id)).reason).toBe(undefined)
    expect((await mocked.post(`/agents/${id}/resume`)).body.status).toBe('idle')
    await expectEndAfterAMinute(mocked, id, 'paused')
  })

  test('restarts with the server: downtime does not count', async () => {
    const id = await newAgent(mocked, { idleTimeout: toTerminate })
    const pausedId = await newAgent(mocked, { idleTimeout: toTerminate })
    await mocked.post(`/agents/${pausedId}/pause`)
    const plainId = await newAgent(mocked, {})
    await clock.advance(50 * secondMs)
    await local[Symbol.asyncDispose]()
    await clock.advance(60 * minuteMs)
    await open()
    expect(await agentOf(mocked, id)).toMatchObject({ status: 'idle', idleTimeout: toTerminate })
    await clock.advance(59 * secondMs)
    expect([await statusOf(mocked, id), await statusOf(mocked, pausedId)]).toEqual(['idle', 'paused'])
    await clock.advance(secondMs)
    await expect.poll(() => statusOf(mocked, id)).toBe('terminated')
    await expect.poll(() => statusOf(mocked, pausedId)).toBe('terminated')
    expect((await agentOf(mocked, id)).reason).toContain('idleTimeout')
    expect(await statusOf(mocked, plainId)).toBe('idle')
  })

  test('does not depend on the wall clock, which may be set', async () => {
    const id = await newAgent(mocked, { idleTimeout: toTerminate })
    clock.shift(5 * 60 * minuteMs)
    await clock.advance(30 * secondMs)
    expect(await statusOf(mocked, id)).toBe('idle')
    clock.shift(-10 * 60 * minuteMs)
    await clock.advance(30 * secondMs)
    await expect.poll(() => statusOf(mocked, id)).toBe('terminated')
  })
})

describe('at the moment of expiry', () => {
  /** Sends the request this number of microtasks after the timer fires; a negative offset sends it before. */
  async function meet(offset: number, ask: () => Promise<Answer>): Promise<Answer> {
    await clock.advance(minuteMs - 1)
    const early = offset < 0 ? ask() : undefined
    for (let count = offset; count < 0; count += 1) await Promise.resolve()
    const expiry = clock.advance(1)
    for (let count = 0; count < offset; count += 1) await Promise.resolve()
    const answer = await (early ?? ask())
    await expiry
    for (let count = 0; count < 5; count += 1) await turn() // time for further work of the idle timeout
    return answer
  }
  const offsets = Array.from({ length: 120 }, (_, index) => index - 40)

  test('an exec runs and the agent stays, or it is refused and the agent is terminated', async () => {
    const seen = { done: 0, refused: 0 }
    for (const offset of offsets) {
      const id = await newAgent(mocked, { idleTimeout: toTerminate })
      const { status, body } = await meet(offset, () => exec(mocked, id, '# theazo:delay=20 theazo:stdout=on'))
      seen[status === 200 ? 'done' : 'refused'] += 1
      const expected = status === 200 ? [200, 'idle', 'on'] : [409, 'terminated', undefined]
      expect([status, await statusOf(mocked, id), body.stdout], `offset ${offset}`).toEqual(expected)
      if (status === 200) await mocked.post(`/agents/${id}/terminate`)
      else expect(body.error.message).toContain('is terminated: it was idle for 60 s') // the exec was not killed while it ran
    }
    expect(Math.min(seen.done, seen.refused)).toBeGreaterThan(3)
  })

  test('an exec runs and the agent stays, or it is refused and the agent is paused', async () => {
    const seen = { done: 0, refused: 0 }
    for (const offset of offsets) {
      const id = await newAgent(mocked, { idleTimeout: toPause })
      const { status, body } = await meet(offset, () => exec(mocked, id, '# theazo:delay=20 theazo:stdout=on'))
      seen[status === 200 ? 'done' : 'refused'] += 1
      const expected = status === 200 ? [200, 'idle', 'on'] : [409, 'paused', undefined]
      expect([status, await statusOf(mocked, id), body.stdout], `offset ${offset}`).toEqual(expected)
      await mocked.post(`/agents/${id}/terminate`)
    }
    expect(Math.min(seen.done, seen.refused)).toBeGreaterThan(3)
  })

  test('a run starts and runs to its end, or it is refused and there is no task', async () => {
    const seen = { done: 0, refused: 0 }
    for (const offset of offsets) {
      const id = await newAgent(mocked, { idleTimeout: toTerminate })
      const { status } = await meet(offset, () => mocked.post(`/agents/${id}/run`, { task: 'theazo:delay=2' }))
      seen[status === 202 ? 'done' : 'refused'] += 1
      if (status === 202) {
        await expect.poll(async () => (await agentOf(mocked, id)).task?.status).toBe('completed')
        expect(await statusOf(mocked, id)).toBe('idle')
        await mocked.post(`/agents/${id}/terminate`)
      } else {
        const { status: agentStatus, task } = await agentOf(mocked, id)
        expect([status, agentStatus, task], `offset ${offset}`).toEqual([409, 'terminated', null])
      }
    }
    expect(Math.min(seen.done, seen.refused)).toBeGreaterThan(3)
  })

  test('a resume succeeds, or finds the agent terminated', async () => {
    const seen = { done: 0, refused: 0 }
    for (const offset of offsets) {
      const id = await newAgent(mocked, { idleTimeout: toTerminate })
      await mocked.post(`/agents/${id}/pause`)
      const { status } = await meet(offset, () => mocked.post(`/agents/${id}/resume`))
      seen[status === 200 ? 'done' : 'refused'] += 1
      const expected = status === 200 ? [200, 'idle'] : [409, 'terminated']
      expect([status, await statusOf(mocked, id)], `offset ${offset}`).toEqual(expected)
      if (status === 200) await mocked.post(`/agents/${id}/terminate`)
    }
    expect(Math.min(seen.done, seen.refused)).toBeGreaterThan(3)
  })
})

test.each([
  [toTerminate, 'terminated'],
  [toPause, 'paused'],
])(
  'an agent stays usable while the store does not take %j, which is logged and tried again',
  async (idleTimeout, end) => {
    const id = await newAgent(mocked, { idleTimeout })
    const store = new DatabaseSync(join(dataDir, 'theazo.db'))
    store.exec(`create trigger refuses before update on agents when new.status = '${end}'
    begin select raise(abort, 'the store refuses this'); end`)
    const failures = (): number => log.split('the store refuses this').length - 1
    await clock.advance(minuteMs)
    await expect.poll(failures).toBeGreaterThan(0)
    expect((await exec(mocked, id, 'echo on')).body.stdout).toBe('on\n')
    const before = failures()
    await clock.advance(minuteMs - 1) // the call above restarted the idle time
    expect(failures()).toBe(before)
    await clock.advance(1)
    await expect.poll(failures).toBeGreaterThan(before)
    expect(await statusOf(mocked, id)).toBe('idle')
    store.exec('drop trigger refuses')
    store.close()
    await clock.advance(10 * secondMs)
    await expect.poll(() => statusOf(mocked, id)).toBe(end)
  },
)

describe('idleTimeout', () => {
  test('is in every answer that contains the agent, if it is set', async () => {
    const path = `/sessions/${await newSession(mocked)}/agents`
    const idleTimeout = { seconds: 604_800, action: 'pause' }
    const { body: agent } = await mocked.post(path, { idleTimeout })
    await mocked.post(path, {})
    expect(agent.idleTimeout).toEqual(idleTimeout)
    expect((await agentOf(mocked, agent.id)).idleTimeout).toEqual(idleTimeout)
    const { data } = (await mocked.get(path)).body
    expect(data.map((listed: typeof agent) => listed.idleTimeout)).toEqual([undefined, idleTimeout])
  })

  test('does not change if the agent is returned by its name', async () => {
    const path = `/sessions/${await newSession(mocked)}/agents`
    await mocked.post(path, { name: 'main', idleTimeout: toTerminate })
    const found = await mocked.post(path, { name: 'main', idleTimeout: { seconds: 600, action: 'pause' } })
    expect([found.status, found.body.idleTimeout]).toEqual([200, toTerminate])
    await expectEndAfterAMinute(mocked, found.body.id)
  })

  const wholeSeconds = 'must be a whole number of seconds from 60 to 604800 (7 days)'
  test.each([
    [{ seconds: 59, action: 'pause' }, 'idleTimeout.seconds', wholeSeconds],
    [{ seconds: 604_801, action: 'pause' }, 'idleTimeout.seconds', wholeSeconds],
    [{ seconds: 60.5, action: 'pause' }, 'idleTimeout.seconds', wholeSeconds],
    [{ seconds: 1.5, action: 'pause' }, 'idleTimeout.seconds', wholeSeconds],
    [{ seconds: '60', action: 'pause' }, 'idleTimeout.seconds', wholeSeconds],
    [{ action: 'pause' }, 'idleTimeout.seconds', wholeSeconds],
    [{ seconds: 60, action: 'stop' }, 'idleTimeout.action', "must be 'terminate' or 'pause'"],
    [{ seconds: 60 }, 'idleTimeout.action', "must be 'terminate' or 'pause'"],
    [{ second: 60, action: 'pause' }, 'idleTimeout', "has an unknown field 'second'; did you mean 'seconds'?"],
    [{ seconds: 60, actoin: 'pause' }, 'idleTimeout', "has an unknown field 'actoin'; did you mean 'action'?"],
    [
      { ...toPause, actions: 1, x: 1 },
      'idleTimeout',
      "has an unknown field 'actions' (and 1 more); did you mean 'action'?",
    ],
  ])('%j is refused', async (idleTimeout, field, message) => {
    const path = `/sessions/${await newSession(mocked)}/agents`
    const { status, body } = await mocked.post(path, { idleTimeout })
    expect([status, body.error.message]).toEqual([422, `${field}: ${message}`])
    expect([...new Set(body.error.details.fields[field])]).toEqual([message])
    expect((await mocked.get(path)).body.data).toEqual([])
  })

  test.each([60, 604_800])('may be %d seconds', async (seconds) => {
    const path = `/sessions/${await newSession(mocked)}/agents`
    expect((await mocked.post(path, { idleTimeout: { seconds, action: 'terminate' } })).status).toBe(201)
  })
})

describe("the server's default idle timeout", () => {
  test("applies to agents that are created without one; an agent's own value takes precedence", async () => {
    await local[Symbol.asyncDispose]()
    await open({ seconds: 60, action: 'terminate' })
    const id = await newAgent(mocked, {})
    const own = await newAgent(mocked, { idleTimeout: { seconds: 900, action: 'pause' } })
    expect((await agentOf(mocked, id)).idleTimeout).toEqual({ seconds: 60, action: 'terminate' })
    await expectEndAfterAMinute(mocked, id)
    expect(await statusOf(mocked, own)).toBe('idle')
  })

  test('prevents the server from starting if it is out of range', async () => {
    const made = createLocalTheazo({ idleTimeout: { seconds: 5, action: 'pause' } })
    await expect(made).rejects.toMatchObject({ name: 'SetupError', message: expect.stringContaining('60 to 604,800') })
  })

  test('is optional: /metrics counts the idle agents of live keys without an idle timeout', async () => {
    const count = () => metricOf(local.baseUrl, 'theazo_agents_idle_without_timeout', local.fetch)
    await newAgent(mocked, {})
    await newAgent(live, { idleTimeout: toPause })
    expect(await count()).toBe(0)
    const id = await newAgent(live, {})
    expect(await count()).toBe(1)
    await live.post(`/agents/${id}/terminate`)
    expect(await count()).toBe(0)
  })
})
