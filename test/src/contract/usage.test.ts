// Billed usage (contract, Usage), compared with the test's own log of its actions, never with the server's.
import { createLocalTheazo, type KeyInfo, type LocalTheazo } from '@theazo/server'
import { array, asyncProperty, assert, constantFrom, integer, nat, oneof, record, type Arbitrary } from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiCaller } from '../support/api-caller.ts'
import { canMount } from '../support/can-mount.ts'
import { ServerTestClock } from '../support/clock.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
/** A twelfth of a year of 365 days. */
const storageMonthMs = 730 * hourMs
const measureMs = 10_000

let clock: ServerTestClock
let local: LocalTheazo
beforeAll(async () => {
  clock = new ServerTestClock()
  local = await createLocalTheazo({ clock })
})
afterAll(() => local[Symbol.asyncDispose]())

let projects = 0
/** A live key of a new project. */
async function newKey(project = `project ${(projects += 1)}`, mode: 'live' | 'test' = 'live') {
  const key: KeyInfo & { key: string } = await local.keys.create({ mode, plan: 'enterprise', project })
  return { ...key, api: new ApiCaller({ ...local, apiKey: key.key }) }
}

interface Used {
  from?: number
  until?: number
  sessionId?: string
  userId?: string
  keyId?: string
}

async function usage(api: ApiCaller, { from, until, ...filters }: Used = {}) {
  const query = new URLSearchParams(filters)
  if (from !== undefined) query.set('from', new Date(from).toISOString())
  if (until !== undefined) query.set('until', new Date(until).toISOString())
  const { status, body } = await api.get(`/usage/summary?${query}`)
  expect(status).toBe(200)
  return body
}

/** Moves the clock and waits for the heartbeat that this triggers: changes are then measured. */
async function advance(ms: number): Promise<void> {
  const beaten = clock.timerStarted(measureMs)
  clock.jump(Math.max(ms, measureMs))
  await beaten
}

describe('compute minutes', () => {
  /** A time in which an agent was ready, as the test recorded it. */
  interface Ready {
    agentId: string
    sessionId: string
    userId: string
    keyId: string
    from: number
    until?: number
  }

  interface Act {
    what: 'create' | 'pause' | 'resume' | 'terminate' | 'limit' | 'patch' | 'wait'
    agent: number
    session: number
    key: number
    ms: number
  }

  const act: Arbitrary<Act> = record({
    what: constantFrom('create', 'create', 'pause', 'resume', 'resume', 'terminate', 'limit', 'patch', 'wait'),
    agent: nat(5),
    session: nat(2),
    key: nat(1),
    ms: oneof(nat(90_000), nat(3 * hourMs), integer({ min: dayMs, max: 40 * dayMs })),
  })

  test('are the time from ready to paused or ended, for any session, user, key and period', async () => {
    let created = 0
    const property = asyncProperty(
      array(act, { minLength: 8, maxLength: 30 }),
      array(nat(1e6), { minLength: 12, maxLength: 12 }),
      async (acts, cuts) => {
        const first = await newKey()
        const keys = [first, await newKey(first.project)] as const
        const startedAt = clock.now()
        const sessions: { id: string; userId: string }[] = []
        for (const userId of ['a', 'a', 'b']) sessions.push((await first.api.post('/sessions', { userId })).body)
        const agents: { id: string; session: { id: string; userId: string } }[] = []
        const log: Ready[] = []
        const open = (agentId: string): Ready | undefined =>
          log.find((r) => r.agentId === agentId && r.until === undefined)
        const end = (agentId: string): void => {
          const ready = open(agentId)
          if (ready) ready.until = clock.now()
        }
        const begin = (agent: { id: string; session: { id: string; userId: string } }, keyId: string): void => {
          const { id: sessionId, userId } = agent.session
          log.push({ agentId: agent.id, sessionId, userId, keyId, from: clock.now() })
        }

        for (const { what, agent: agentIndex, session: sessionIndex, key: keyIndex, ms } of acts) {
          const key = keys[keyIndex] ?? first
          const session = sessions[sessionIndex]
          const agent = agents[agentIndex % Math.max(1, agents.length)]
          if (!session) continue
          if (what === 'wait') clock.jump(ms)
          if (what === 'create' && agents.length < 5) {
            const { status, body } = await key.api.post(`/sessions/${session.id}/agents`)
            expect(status).toBe(201)
            created += 1
            agents.push({ id: body.id, session })
            begin({ id: body.id, session }, key.keyId)
          }
          if (what === 'limit') {
            await key.api.patch(`/sessions/${session.id}`, { limits: { maxComputeMinutes: 0 } })
            const statuses = async (): Promise<string[]> =>
              (await key.api.get(`/sessions/${session.id}/agents`)).body.data.map(
                (row: { status: string }) => row.status,
              )
            await expect.poll(statuses, { interval: 1 }).not.toContain('idle')
            for (const { id } of agents.filter((other) => other.session === session)) end(id)
            await key.api.patch(`/sessions/${session.id}`, { limits: null })
          }
          if (what === 'patch') await key.api.patch(`/sessions/${session.id}`, { limits: { maxComputeMinutes: 1e9 } })
          if (!agent) continue
          if (what === 'pause' && (await key.api.post(`/agents/${agent.id}/pause`)).status === 200) end(agent.id)
          if (what === 'terminate' && (await key.api.post(`/agents/${agent.id}/terminate`)).status === 200)
            end(agent.id)
          if (what === 'resume' && (await key.api.post(`/agents/${agent.id}/resume`)).status === 200) {
            expect(open(agent.id)).toBeUndefined()
            begin(agent, key.keyId)
          }
          clock.jump(ms)
        }

        const countedMs = (from: number, until: number, isOf: (ready: Ready) => boolean): number =>
          log
            .filter(isOf)
            .map((ready) => Math.min(ready.until ?? clock.now(), until) - Math.max(ready.from, from))
            .reduce((sum, ms) => sum + Math.max(0, ms), 0)
        const filters: [Used, (ready: Ready) => boolean][] = [
          [{}, () => true],
          [{ userId: 'a' }, ({ userId }) => userId === 'a'],
          [{ userId: 'nobody' }, () => false],
          ...sessions.map(({ id }): [Used, (ready: Ready) => boolean] => [
            { sessionId: id },
            ({ sessionId }) => sessionId === id,
          ]),
          ...keys.map(({ keyId: id }): [Used, (ready: Ready) => boolean] => [
            { keyId: id },
            ({ keyId }) => keyId === id,
          ]),
          [{ keyId: first.keyId, userId: 'b' }, ({ keyId, userId }) => keyId === first.keyId && userId === 'b'],
        ]
        const spanMs = clock.now() - startedAt
        const at = (cut = 0): number => startedAt + Math.round((spanMs * cut) / 1e6)
        const periods = [[startedAt, clock.now()] as const, [startedAt - dayMs, clock.now() + dayMs] as const]
        for (let n = 0; n < cuts.length; n += 2) {
          const [from = 0, until = 0] = [at(cuts[n]), at(cuts[n + 1])].toSorted((a, b) => a - b)
          periods.push([from, until])
        }
        for (const [from, until] of periods) {
          for (const [filter, isOf] of filters) {
            const { period, compute, models, storage, total } = await usage(first.api, { from, until, ...filter })
            const ms = countedMs(from, until, isOf)
            expect(period).toEqual({ from: new Date(from).toISOString(), until: new Date(until).toISOString() })
            expect(Math.round(compute.minutes * minuteMs)).toBe(ms)
            expect(compute.cost).toEqual({ amount: Math.round((ms * 5) / minuteMs), currency: 'usd' })
            expect(models).toEqual({ inputTokens: 0, outputTokens: 0, cost: { amount: 0, currency: 'usd' } })
            expect(total.amount).toBe(compute.cost.amount + models.cost.amount + storage.cost.amount)
          }
        }
        for (const { id } of sessions) await first.api.post(`/sessions/${id}/terminate`)
      },
    )
    await assert(property, { numRuns: 12, endOnFailure: true })
    expect(created).toBeGreaterThan(12)
  })

  test('end when the session is terminated', async () => {
    const { api } = await newKey()
    const from = clock.now()
    const { body: session } = await api.post('/sessions', { userId: 'u' })
    for (let n = 0; n < 2; n += 1) await api.post(`/sessions/${session.id}/agents`)
    clock.jump(3 * minuteMs)
    await api.post(`/sessions/${session.id}/terminate`)
    clock.jump(hourMs)
    expect((await usage(api, { from })).compute).toEqual({ minutes: 6, cost: { amount: 30, currency: 'usd' } })
  })

  test('cost 710 cents for 142 minutes, as in the reference', async () => {
    const { api } = await newKey()
    const from = clock.now()
    const { body: session } = await api.post('/sessions', { userId: 'u' })
    const { body: agent } = await api.post(`/sessions/${session.id}/agents`)
    clock.jump(142 * minuteMs)
    await api.post(`/agents/${agent.id}/terminate`)
    expect((await usage(api, { from })).compute).toEqual({ minutes: 142, cost: { amount: 710, currency: 'usd' } })
  })

  test('are rounded to cents only once: parts of a cent add up', async () => {
    const { api } = await newKey()
    const from = clock.now()
    const { body: session } = await api.post('/sessions', { userId: 'u' })
    const { body: agent } = await api.post(`/sessions/${session.id}/agents`)
    // Ten times five seconds cost 4.17 cents; each five seconds cost 0.42.
    for (let n = 0; n < 10; n += 1) {
      clock.jump(5_000)
      await api.post(`/agents/${agent.id}/pause`)
      clock.jump(hourMs)
      await api.post(`/agents/${agent.id}/resume`)
    }
    await api.post(`/agents/${agent.id}/terminate`)
    const { compute } = await usage(api, { from })
    expect([Math.round(compute.minutes * minuteMs), compute.cost.amount]).toEqual([50_000, 4])
  })
})

describe('storage', () => {
  /** Upper limit of the size of an agent's folders without files. */
  const foldersBytes = 64 * 1024
  const gbMonths = (bytes: number, ms: number): number => ((bytes / 1e9) * ms) / storageMonthMs

  async function newAgent() {
    const { api } = await newKey()
    const from = clock.now()
    const { body: session } = await api.post('/sessions', { userId: 'u' })
    const { body: agent } = await api.post(`/sessions/${session.id}/agents`)
    const write = async (name: string, sizeBytes: number): Promise<void> => {
      const code = `head -c ${sizeBytes} /dev/urandom > ${name}`
      expect((await api.post(`/agents/${agent.id}/exec`, { lang: 'bash', code })).body.exitCode).toBe(0)
      await advance(measureMs)
    }
    return { api, from, agent, write }
  }

  test('of 0.4 GB-months costs 4 cents, as in the reference', async () => {
    const { api, from, agent, write } = await newAgent()
    await write('twenty-megabytes', 20_000_000)
    await api.post(`/agents/${agent.id}/pause`)
    await advance(20 * storageMonthMs)
    await api.post(`/agents/${agent.id}/terminate`)
    await advance(storageMonthMs)
    const { storage, compute, total } = await usage(api, { from })
    expect(storage.gb).toBeGreaterThanOrEqual(0.4)
    expect(storage.gb).toBeLessThan(0.4 + gbMonths(foldersBytes, 20 * storageMonthMs))
    expect(storage.cost).toEqual({ amount: 4, currency: 'usd' })
    expect(total.amount).toBe(compute.cost.amount + 4)
  })

  test('follows what is written and deleted, counts while paused, and ends with the agent', async () => {
    const property = asyncProperty(
      array(
        record({ sizeBytes: nat(8).map((n) => n * 1024 * 1024), ms: integer({ min: measureMs, max: 90 * dayMs }) }),
        {
          minLength: 1,
          maxLength: 4,
        },
      ),
      constantFrom(true, false),
      async (steps, isPausedBetween) => {
        const { api, from, agent, write } = await newAgent()
        let counted = 0
        for (const [index, { sizeBytes, ms }] of steps.entries()) {
          await write('file', sizeBytes)
          if (isPausedBetween) await api.post(`/agents/${agent.id}/pause`)
          await advance(ms)
          if (isPausedBetween) await api.post(`/agents/${agent.id}/resume`)
          // The next write is measured at the heartbeat after it; until then this size counts.
          counted += gbMonths(sizeBytes, ms + (index < steps.length - 1 ? measureMs : 0))
        }
        await api.post(`/agents/${agent.id}/terminate`)
        const endedAt = clock.now()
        await advance(365 * dayMs)
        const { storage } = await usage(api, { from })
        const folders = gbMonths(foldersBytes, endedAt - from)
        expect(storage.gb).toBeGreaterThanOrEqual(counted - 1e-6)
        expect(storage.gb).toBeLessThanOrEqual(counted + folders + 1e-6)
        expect(storage.cost.amount).toBe(Math.round(storage.gb * 10))
        expect((await usage(api, { from: endedAt })).storage.gb).toBe(0)
      },
    )
    await assert(property, { numRuns: 5, endOnFailure: true })
  })

  /** The bytes that are billed now, computed from a month of them. */
  async function billedBytes(api: ApiCaller): Promise<number> {
    await advance(measureMs)
    const from = clock.now()
    await advance(storageMonthMs)
    const { storage } = await usage(api, { from, until: from + storageMonthMs })
    return storage.gb * 1e9
  }

  test('counts files that a process writes after the end of its exec', async () => {
    const { api, agent, write } = await newAgent()
    await write('first', 1_000_000)
    const code =
      'setsid sh -c "while sleep 0.1; do head -c 1000000 /dev/zero >> later; done" >/dev/null 2>&1 &\nsleep 0.5'
    await api.post(`/agents/${agent.id}/exec`, { lang: 'bash', code })
    const before = await billedBytes(api)
    await expect.poll(() => billedBytes(api)).toBeGreaterThan(before + 2_000_000)
    await api.post(`/agents/${agent.id}/terminate`)
  })

  test.runIf(canMount)('counts deleted files that a process still has open', async () => {
    const { api, agent } = await newAgent()
    const hold = 'exec 9>held; head -c 30000000 /dev/zero >&9; rm held; touch ready; sleep 1000'
    const code = `setsid sh -c '${hold}' >/dev/null 2>&1 &\nuntil [ -e ready ]; do sleep 0.05; done; ls`
    const { body } = await api.post(`/agents/${agent.id}/exec`, { lang: 'bash', code })
    expect(body.stdout).toBe('ready\n')
    expect(await billedBytes(api)).toBeGreaterThanOrEqual(30_000_000)
    await api.post(`/agents/${agent.id}/exec`, {
      lang: 'bash',
      code: 'pkill -x sleep; while pgrep -x sleep; do :; done',
    })
    expect(await billedBytes(api)).toBeLessThan(foldersBytes)
    await api.post(`/agents/${agent.id}/terminate`)
  })

  test('counts only within the period', async () => {
    const { api, agent, write } = await newAgent()
    await write('file', 50_000_000)
    const from = clock.now()
    await advance(storageMonthMs)
    const until = clock.now()
    await advance(storageMonthMs)
    const { storage } = await usage(api, { from, until })
    expect(storage.gb).toBeGreaterThanOrEqual(0.05)
    expect(storage.gb).toBeLessThan(0.0501)
    await api.post(`/agents/${agent.id}/terminate`)
  })

  test('is billed to the key that resumes an agent, as its compute is', async () => {
    const first = await newKey()
    const second = await newKey(first.project)
    const { body: session } = await first.api.post('/sessions', { userId: 'u' })
    const { body: agent } = await first.api.post(`/sessions/${session.id}/agents`)
    await first.api.post(`/agents/${agent.id}/exec`, { lang: 'bash', code: 'head -c 50000000 /dev/urandom > file' })
    await advance(measureMs)
    await first.api.post(`/agents/${agent.id}/pause`)
    const from = clock.now()
    await second.api.post(`/agents/${agent.id}/resume`)
    await advance(storageMonthMs)
    const [ofFirst, ofSecond] = [
      await usage(first.api, { from, keyId: first.keyId }),
      await usage(first.api, { from, keyId: second.keyId }),
    ]
    expect([ofFirst.compute.minutes, ofSecond.compute.minutes]).toEqual([0, 730 * 60])
    expect(ofFirst.storage.gb).toBe(0)
    expect(ofSecond.storage.gb).toBeGreaterThanOrEqual(0.05)
    await first.api.post(`/agents/${agent.id}/terminate`)
  })
})

describe('the period', () => {
  test('defaults to the current calendar month (UTC) until now', async () => {
    const own = new ServerTestClock('2028-02-29T23:59:59.500Z')
    await using server = await createLocalTheazo({ clock: own })
    const api = new ApiCaller(server)
    const { body: session } = await api.post('/sessions', { userId: 'u' })
    const { body: agent } = await api.post(`/sessions/${session.id}/agents`)
    expect((await usage(api)).period).toEqual({ from: '2028-02-01T00:00:00.000Z', until: '2028-02-29T23:59:59.500Z' })
    own.jump(30_500)
    const { period, compute } = await usage(api)
    expect(period).toEqual({ from: '2028-03-01T00:00:00.000Z', until: '2028-03-01T00:00:30.000Z' })
    expect(compute.minutes).toBe(0.5)
    const { body: february } = await api.get('/usage/summary?from=2028-02-01&until=2028-03-01')
    expect(Math.round(february.compute.minutes * minuteMs)).toBe(500)
    await api.post(`/agents/${agent.id}/terminate`)
  })

  test('accepts dates and date-times of any time zone; a date means its first moment', async () => {
    const { api } = await newKey()
    const period = async (query: string) => (await api.get(`/usage/summary?${query}`)).body.period
    expect(await period('from=2025-05-01&until=2025-05-06T14:00:00Z')).toEqual({
      from: '2025-05-01T00:00:00.000Z',
      until: '2025-05-06T14:00:00.000Z',
    })
    expect(await period('from=2025-05-01T02:00:00%2B02:00&until=2025-05-02')).toEqual({
      from: '2025-05-01T00:00:00.000Z',
      until: '2025-05-02T00:00:00.000Z',
    })
    expect(await period('from=2025-05-01&until=2025-05-01')).toEqual({
      from: '2025-05-01T00:00:00.000Z',
      until: '2025-05-01T00:00:00.000Z',
    })
  })

  test.each([
    ['from=2025-05-02&until=2025-05-01', 'from'],
    ['from=2025-05-01T00:00:00.001Z&until=2025-05-01', 'from'],
    ['from=yesterday', 'from'],
    ['until=2025-02-29', 'until'],
    ['from=2025-05-01T00:00:00', 'from'],
    ['from=1746057600', 'from'],
  ])('is 422 and names the parameter if it is invalid: %s', async (query, field) => {
    const { api } = await newKey()
    const { status, body } = await api.get(`/usage/summary?${query}`)
    expect([status, body.error.code, Object.keys(body.error.details?.fields ?? {})]).toEqual([
      422,
      'unprocessable_entity',
      [field],
    ])
  })
})

test('another project or a test key cannot read the usage, and a test key uses nothing', async () => {
  const [own, other] = [await newKey(), await newKey()]
  const tester = await newKey(own.project, 'test')
  const from = clock.now()
  const { body: session } = await own.api.post('/sessions', { userId: 'u' })
  const { body: agent } = await own.api.post(`/sessions/${session.id}/agents`)
  const { body: mocked } = await tester.api.post('/sessions', { userId: 'u' })
  const { body: mockedAgent } = await tester.api.post(`/sessions/${mocked.id}/agents`)
  const { body: run } = await tester.api.post(`/agents/${mockedAgent.id}/run`, { task: 'theazo:cost=50' })
  const task = async () => (await tester.api.get(`/agents/${mockedAgent.id}/tasks/${run.taskId}`)).body
  await expect.poll(task).toMatchObject({ status: 'completed', cost: { amount: 51 } })
  clock.jump(10 * minuteMs)
  expect((await usage(own.api, { from })).total.amount).toBe(50)
  expect((await usage(other.api, { from, userId: 'u' })).total.amount).toBe(0)
  expect((await usage(tester.api, { from })).total.amount).toBe(0)
  for (const query of [`sessionId=${session.id}`, `keyId=${own.keyId}`]) {
    expect((await other.api.get(`/usage/summary?${query}`)).status).toBe(404)
    expect((await tester.api.get(`/usage/summary?${query}`)).status).toBe(404)
    expect((await own.api.get(`/usage/summary?${query}`)).status).toBe(200)
  }
  await own.api.post(`/agents/${agent.id}/terminate`)
})
