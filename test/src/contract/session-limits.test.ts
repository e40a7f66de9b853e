// A session's caps on agents, compute time and cost (contract, Sessions), at their limits, on a clock that the test moves.
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AgentStream } from '../support/agent-stream.ts'
import { type Answer, ApiCaller } from '../support/api-caller.ts'
import { ServerTestClock } from '../support/clock.ts'

const minuteMs = 60_000
/** The cost of a minute, in cents. */
const minuteCents = 5

let clock: ServerTestClock
let local: LocalTheazo
let api: ApiCaller
beforeAll(async () => {
  clock = new ServerTestClock()
  local = await createLocalTheazo({ clock })
  api = new ApiCaller(local)
})
afterAll(() => local[Symbol.asyncDispose]())

type Limits = Record<string, unknown>
const perSession = (cents: number) => ({ amount: cents, currency: 'usd', period: 'session' })

async function newSession(limits: Limits, by = api): Promise<string> {
  const { status, body } = await by.post('/sessions', { userId: 'limited', limits })
  expect(status).toBe(201)
  return body.id
}

async function newAgent(sessionId: string, by = api): Promise<string> {
  const { status, body } = await by.post(`/sessions/${sessionId}/agents`)
  expect({ status, agent: body.status }).toEqual({ status: 201, agent: 'idle' })
  await setImmediate() // the server starts the session's timer right after the answer
  return body.id
}

const create = (sessionId: string) => api.post(`/sessions/${sessionId}/agents`)
const exec = (agentId: string, code = 'echo on') => api.post(`/agents/${agentId}/exec`, { lang: 'bash', code })
async function resume(agentId: string, by = api): Promise<Answer> {
  const answer = await by.post(`/agents/${agentId}/resume`)
  await setImmediate()
  return answer
}
async function pause(agentId: string): Promise<Answer> {
  const answer = await api.post(`/agents/${agentId}/pause`)
  await setImmediate()
  return answer
}
const terminate = (agentId: string) => api.post(`/agents/${agentId}/terminate`)
const statusOf = async (path: string, by = api): Promise<string> => (await by.get(path)).body.status
const setLimits = (sessionId: string, limits: Limits | null) => api.patch(`/sessions/${sessionId}`, { limits })

const eventually = <T>(ask: () => T) => expect.poll(ask, { interval: 1, timeout: 30_000 })
const statusAndCode = ({ status, body }: Answer): [number, string | undefined] => [status, body.error?.code]
const reached = [402, 'session_limit_exceeded']
const conflict = [409, 'conflict']

/** Checks every call that a reached cap refuses, on an agent that the cap has paused. */
async function expectReached(sessionId: string, agentId: string): Promise<void> {
  for (const answer of [await create(sessionId), await exec(agentId), await resume(agentId)]) {
    expect(statusAndCode(answer)).toEqual(reached)
  }
}

describe('maxAgents', () => {
  test('allows exactly this number of agents, also for concurrent calls', async () => {
    const sessionId = await newSession({ maxAgents: 3 })
    const answers = await Promise.all(Array.from({ length: 4 }, () => create(sessionId)))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 201, 201, 402])
    expect(statusAndCode(await create(sessionId))).toEqual(reached)
  })

  test('counts paused agents, but not terminated ones', async () => {
    const sessionId = await newSession({ maxAgents: 2 })
    const [a] = [await newAgent(sessionId), await newAgent(sessionId)]
    await pause(a)
    expect(statusAndCode(await create(sessionId))).toEqual(reached)
    await terminate(a)
    await newAgent(sessionId)
    expect(statusAndCode(await create(sessionId))).toEqual(reached)
  })

  test('does not count failed agents', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'theazo-limits-'))
    const agentsOf = (name: string): string[] => globSync(`{/var/lib/theazo/agents/*,${dataDir}/agents}/${name}`)
    let [sessionId, failed, kept] = ['', '', '']
    {
      await using server = await createLocalTheazo({ dataDir })
      const by = new ApiCaller(server)
      sessionId = await newSession({ maxAgents: 2 }, by)
      ;[failed, kept] = [await newAgent(sessionId, by), await newAgent(sessionId, by)]
      expect(statusAndCode(await by.post(`/sessions/${sessionId}/agents`))).toEqual(reached)
    }
    expect(agentsOf(failed)).toHaveLength(1)
    for (const path of agentsOf(failed)) rmSync(path, { recursive: true })
    await using server = await createLocalTheazo({ dataDir })
    const by = new ApiCaller(server)
    expect(await statusOf(`/agents/${failed}`, by)).toBe('failed')
    await newAgent(sessionId, by)
    expect(statusAndCode(await by.post(`/sessions/${sessionId}/agents`))).toEqual(reached)
    expect(await statusOf(`/agents/${kept}`, by)).toBe('idle')
    await by.post(`/sessions/${sessionId}/terminate`)
    rmSync(dataDir, { recursive: true })
  })

  test('of 0 allows no agent; a PATCH that raises or removes it allows more; a PATCH that lowers it ends none', async () => {
    const sessionId = await newSession({ maxAgents: 0 })
    expect(statusAndCode(await create(sessionId))).toEqual(reached)
    await setLimits(sessionId, { maxAgents: 1 })
    const agentId = await newAgent(sessionId)
    expect(statusAndCode(await create(sessionId))).toEqual(reached)
    await setLimits(sessionId, { maxAgents: null })
    await newAgent(sessionId)
    await setLimits(sessionId, { maxAgents: 1 })
    expect(statusAndCode(await create(sessionId))).toEqual(reached)
    expect(statusAndCode(await exec(agentId))).toEqual([200, undefined])
    expect(await statusOf(`/sessions/${sessionId}`)).toBe('active')
  })

  test('does not prevent the return of an existing agent by its name', async () => {
    const sessionId = await newSession({ maxAgents: 1 })
    const { body } = await api.post(`/sessions/${sessionId}/agents`, { name: 'main' })
    const again = await api.post(`/sessions/${sessionId}/agents`, { name: 'main' })
    expect([again.status, again.body.id]).toEqual([200, body.id])
    expect(statusAndCode(await api.post(`/sessions/${sessionId}/agents`, { name: 'other' }))).toEqual(reached)
  })
})

/** Every cap that allows three minutes of one agent. */
const threeMinutes: [string, Limits][] = [
  ['maxComputeMinutes', { maxComputeMinutes: 3 }],
  ['maxCost of a session', { maxCost: perSession(3 * minuteCents) }],
  ['maxCost of a day', { maxCost: { ...perSession(3 * minuteCents), period: 'day' } }],
  ['maxCost of a month', { maxCost: { ...perSession(3 * minuteCents), period: 'month' } }],
]

describe.each(threeMinutes)('%s', (name, limits) => {
  const more: Limits =
    name === 'maxComputeMinutes' ? { maxComputeMinutes: 4 } : { maxCost: perSession(4 * minuteCents) }
  const none: Limits =
    name === 'maxComputeMinutes' ? { maxComputeMinutes: 0 } : { maxCost: { ...perSession(0), period: 'day' } }

  test('pauses the session and its idle agents at the exact millisecond, without any call', async () => {
    const sessionId = await newSession(limits)
    const agentId = await newAgent(sessionId)
    await using stream = await AgentStream.open(api, agentId)
    clock.jump(3 * minuteMs - 1)
    expect(statusAndCode(await exec(agentId))).toEqual([200, undefined])
    expect(await statusOf(`/sessions/${sessionId}`)).toBe('active')
    clock.jump(1)
    expect((await stream.statusEvent('paused')).data).toEqual({ status: 'paused', reason: 'limit' })
    expect(await statusOf(`/sessions/${sessionId}`)).toBe('paused')
    expect(await statusOf(`/agents/${agentId}`)).toBe('paused')
    await expectReached(sessionId, agentId)
    await terminate(agentId)
  })

  test('kills a running exec, which is answered 402', async () => {
    const sessionId = await newSession(limits)
    const agentId = await newAgent(sessionId)
    const [first, second] = [exec(agentId, 'echo > first; sleep 300'), exec(agentId, 'echo > second; sleep 300')]
    const files = async () => (await exec(agentId, 'ls')).body.stdout
    await eventually(files).toBe('first\nsecond\n')
    clock.jump(3 * minuteMs)
    expect([statusAndCode(await first), statusAndCode(await second)]).toEqual([reached, reached])
    await eventually(() => statusOf(`/agents/${agentId}`)).toBe('paused')
    await setLimits(sessionId, null)
    await resume(agentId)
    expect((await exec(agentId, 'pgrep sleep; echo none')).body.stdout).toBe('none\n')
    expect(await files()).toBe('first\nsecond\n')
    await terminate(agentId)
  })

  test('makes the session active if a PATCH raises it; its agents stay paused until they are resumed', async () => {
    const sessionId = await newSession(limits)
    const [a, b] = [await newAgent(sessionId), await newAgent(sessionId)]
    await using streamA = await AgentStream.open(api, a)
    await using streamB = await AgentStream.open(api, b)
    clock.jump(1.5 * minuteMs)
    await streamA.statusEvent('paused')
    await streamB.statusEvent('paused')
    const { body: session } = await setLimits(sessionId, more)
    expect(session.status).toBe('active')
    expect([await statusOf(`/agents/${a}`), await statusOf(`/agents/${b}`)]).toEqual(['paused', 'paused'])
    expect(statusAndCode(await exec(a))).toEqual(conflict)
    expect(await resume(a)).toMatchObject({ status: 200, body: { status: 'idle' } })
    expect((await exec(a)).body.stdout).toBe('on\n')
  })

  test('applies immediately if a PATCH lowers it, and from the start if it is 0', async () => {
    const sessionId = await newSession({})
    const agentId = await newAgent(sessionId)
    clock.jump(3 * minuteMs)
    await using stream = await AgentStream.open(api, agentId)
    expect((await setLimits(sessionId, limits)).body.status).toBe('paused')
    expect((await stream.statusEvent('paused')).data).toMatchObject({ reason: 'limit' })
    await expectReached(sessionId, agentId)
    expect(statusAndCode(await create(await newSession(none)))).toEqual(reached)
    await terminate(agentId)
  })

  test('is checked in order: invalid body, unknown id, ended, limit, paused', async () => {
    const sessionId = await newSession(limits)
    const [paused, ended] = [await newAgent(sessionId), await newAgent(sessionId)]
    await using stream = await AgentStream.open(api, paused)
    await terminate(ended)
    clock.jump(3 * minuteMs)
    await stream.statusEvent('paused')
    expect(statusAndCode(await api.post(`/agents/${paused}/exec`, { lang: 'bash' }))).toEqual([
      422,
      'unprocessable_entity',
    ])
    expect(statusAndCode(await api.post(`/sessions/${sessionId}/agents`, { timeout: 0 }))).toEqual([
      422,
      'unprocessable_entity',
    ])
    expect(statusAndCode(await exec('agt_none'))).toEqual([404, 'not_found'])
    expect(statusAndCode(await exec(ended))).toEqual(conflict)
    expect(statusAndCode(await resume(ended))).toEqual(conflict)
    await expectReached(sessionId, paused)
    expect(statusAndCode(await pause(paused))).toEqual(conflict)
    await api.post(`/sessions/${sessionId}/terminate`)
    expect(statusAndCode(await create(sessionId))).toEqual(conflict)
  })

  test('is reached when all agents together have used it up', async () => {
    const sessionId = await newSession(limits)
    const agents = [await newAgent(sessionId), await newAgent(sessionId)]
    clock.jump(minuteMs)
    agents.push(await newAgent(sessionId))
    await pause(agents[0] ?? '')
    const streams = await Promise.all(agents.map((id) => AgentStream.open(api, id)))
    // Two of three minutes are used, and two agents are running.
    clock.jump(minuteMs / 2 - 1)
    expect(statusAndCode(await exec(agents[1] ?? ''))).toEqual([200, undefined])
    clock.jump(1)
    await Promise.all(streams.slice(1).map((stream) => stream.statusEvent('paused')))
    await expectReached(sessionId, agents[1] ?? '')
    expect(streams[0]?.events).toEqual([])
    for (const stream of streams) await stream.close()
  })

  test('is not used up while the user has paused the agent; later use reaches it', async () => {
    const sessionId = await newSession(limits)
    const agentId = await newAgent(sessionId)
    clock.jump(2 * minuteMs)
    await pause(agentId)
    // Only ten minutes pass, so that a daily or monthly period does not change here.
    clock.jump(10 * minuteMs)
    expect(await statusOf(`/sessions/${sessionId}`)).toBe('active')
    expect((await resume(agentId)).status).toBe(200)
    await using stream = await AgentStream.open(api, agentId)
    clock.jump(minuteMs - 1)
    expect(statusAndCode(await exec(agentId))).toEqual([200, undefined])
    clock.jump(1)
    await stream.statusEvent('paused')
    await terminate(agentId)
  })

  test('that is reached while no agent is running refuses new work', async () => {
    const sessionId = await newSession(limits)
    const agentId = await newAgent(sessionId)
    clock.jump(2 * minuteMs)
    await pause(agentId)
    await setLimits(sessionId, none)
    await expectReached(sessionId, agentId)
    await terminate(agentId)
    expect(statusAndCode(await create(sessionId))).toEqual(reached)
  })

  test('that is reached while an agent boots leaves no agent running', async () => {
    const sessionId = await newSession({})
    const first = await newAgent(sessionId)
    const created = create(sessionId)
    await eventually(() => agentStatuses(sessionId)).toEqual(['booting', 'idle'])
    expect((await setLimits(sessionId, none)).body.status).toBe('paused')
    await created
    await eventually(() => agentStatuses(sessionId)).toEqual(['paused', 'paused'])
    await terminate(first)
  })
})

async function agentStatuses(sessionId: string): Promise<string[]> {
  const { body } = await api.get(`/sessions/${sessionId}/agents`)
  return body.data.map(({ status }: { status: string }) => status)
}

describe('a period', () => {
  let zone: string | undefined
  beforeAll(() => {
    // A time zone whose clocks go forward on 2026-03-08: the test fails if the server counts in local days.
    zone = process.env['TZ']
    process.env['TZ'] = 'America/New_York'
    expect(new Date('2026-07-01T00:00:00Z').getHours()).toBe(20)
  })
  afterAll(() => {
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  })

  test.each([
    ['day', '2026-03-08T00:00:00Z'],
    ['day', '2026-03-09T00:00:00Z'],
    ['day', '2026-05-01T00:00:00Z'],
    ['day', '2028-02-29T00:00:00Z'],
    ['day', '2028-03-01T00:00:00Z'],
    ['month', '2026-02-01T00:00:00Z'],
    ['month', '2026-03-01T00:00:00Z'],
    ['month', '2028-03-01T00:00:00Z'],
    ['month', '2027-01-01T00:00:00Z'],
  ])('of a %s starts again at %s, and the session is active again', async (period, boundary) => {
    const start = Date.parse(boundary) - 20 * minuteMs
    const own = new ServerTestClock(new Date(start).toISOString())
    await using server = await createLocalTheazo({ clock: own })
    const by = new ApiCaller(server)
    const sessionId = await newSession({ maxCost: { amount: 5 * minuteCents, currency: 'usd', period } }, by)
    const agentId = await newAgent(sessionId, by)
    await using stream = await AgentStream.open(by, agentId)
    const pausedTimes = (): number => stream.events.filter(({ data }) => data.reason === 'limit').length
    own.jump(5 * minuteMs)
    await eventually(pausedTimes).toBe(1)
    own.jump(15 * minuteMs - 1)
    expect(statusAndCode(await resume(agentId, by))).toEqual(reached)
    expect(await statusOf(`/sessions/${sessionId}`, by)).toBe('paused')

    own.jump(1)
    await eventually(() => statusOf(`/sessions/${sessionId}`, by)).toBe('active')
    expect(await statusOf(`/agents/${agentId}`, by)).toBe('paused')
    expect((await resume(agentId, by)).status).toBe(200)
    own.jump(5 * minuteMs - 1)
    expect((await by.post(`/agents/${agentId}/exec`, { lang: 'bash', code: 'echo' })).status).toBe(200)
    own.jump(1)
    await eventually(pausedTimes).toBe(2)
    const untilNext = { day: 24 * 60, month: 31 * 24 * 60 }[period] ?? 0
    own.jump(untilNext * minuteMs)
    await eventually(() => statusOf(`/sessions/${sessionId}`, by)).toBe('active')
  })

  test('starts with the whole cap for an agent that runs across its end', async () => {
    const own = new ServerTestClock('2026-03-08T23:56:00Z')
    await using server = await createLocalTheazo({ clock: own })
    const by = new ApiCaller(server)
    const sessionId = await newSession({ maxCost: { amount: 5 * minuteCents, currency: 'usd', period: 'day' } }, by)
    const agentId = await newAgent(sessionId, by)
    await using stream = await AgentStream.open(by, agentId)
    own.jumpTo('2026-03-09T00:00:00Z')
    expect((await by.post(`/agents/${agentId}/exec`, { lang: 'bash', code: 'echo' })).status).toBe(200)
    own.jumpTo('2026-03-09T00:04:59.999Z')
    expect((await by.post(`/agents/${agentId}/exec`, { lang: 'bash', code: 'echo' })).status).toBe(200)
    expect(stream.events).toEqual([])
    own.jump(1)
    await stream.statusEvent('paused')
  })

  test('of a session or of compute minutes never starts again', async () => {
    for (const limits of [{ maxComputeMinutes: 5 }, { maxCost: perSession(5 * minuteCents) }]) {
      const own = new ServerTestClock('2026-12-31T23:50:00Z')
      await using server = await createLocalTheazo({ clock: own })
      const by = new ApiCaller(server)
      const sessionId = await newSession(limits, by)
      const agentId = await newAgent(sessionId, by)
      await using stream = await AgentStream.open(by, agentId)
      own.jump(5 * minuteMs)
      await stream.statusEvent('paused')
      own.jump(400 * 24 * 60 * minuteMs)
      expect(statusAndCode(await resume(agentId, by))).toEqual(reached)
      expect(await statusOf(`/sessions/${sessionId}`, by)).toBe('paused')
    }
  })
})

test('a limit of one session does not affect another session', async () => {
  const [capped, free] = [await newSession({ maxComputeMinutes: 1 }), await newSession({})]
  const [agent, other] = [await newAgent(capped), await newAgent(free)]
  await using stream = await AgentStream.open(api, agent)
  clock.jump(minuteMs)
  await stream.statusEvent('paused')
  expect(statusAndCode(await exec(other))).toEqual([200, undefined])
  expect(await statusOf(`/agents/${other}`)).toBe('idle')
  await terminate(other)
})

test('a test key uses nothing, so it never reaches a cap on time or cost, only a cap on agents', async () => {
  const { key } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  const by = new ApiCaller({ ...local, apiKey: key })
  const sessionId = await newSession({ maxAgents: 1, maxComputeMinutes: 1, maxCost: perSession(1) }, by)
  const agentId = await newAgent(sessionId, by)
  clock.jump(1000 * minuteMs)
  expect((await by.post(`/agents/${agentId}/exec`, { lang: 'bash', code: 'echo' })).status).toBe(200)
  expect(statusAndCode(await by.post(`/sessions/${sessionId}/agents`))).toEqual(reached)
})
