// The machine's clock is set back by hours while the server runs.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalTheazo, type LocalTheazo, type ServerOptions } from '@theazo/server'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ApiCaller } from '../support/api-caller.ts'
import { readEvents } from '../support/event-reader.ts'
import { ServerTestClock } from '../support/clock.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const start = Date.UTC(2030, 5, 15, 12)

let clock: ServerTestClock
let dataDir = ''
let local: LocalTheazo

beforeEach(async () => {
  // Ids take the time from Date; timers stay real.
  vi.useFakeTimers({ toFake: ['Date'], now: start })
  clock = new ServerTestClock(start)
  dataDir = mkdtempSync(join(tmpdir(), 'theazo-clock-'))
  local = await open()
})
afterEach(async () => {
  await local[Symbol.asyncDispose]()
  vi.useRealTimers()
  rmSync(dataDir, { recursive: true })
})

const open = (options: ServerOptions = {}) => createLocalTheazo({ dataDir, clock, ...options })

function setBack(ms: number): void {
  clock.shift(-ms)
  vi.setSystemTime(clock.now())
}

function send(key: string, method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const caller = new ApiCaller({ ...local, apiKey: key })
  return caller.send(method, path, JSON.stringify(body), { headers })
}

async function makeAgent(key: string, limits: object = {}): Promise<{ sessionId: string; agentId: string }> {
  const session = await send(key, 'POST', '/sessions', { userId: 'clock', limits })
  const agent = await send(key, 'POST', `/sessions/${session.body.id}/agents`, {})
  expect(agent.body.status).toBe('idle')
  return { sessionId: session.body.id, agentId: agent.body.id }
}

async function minutes(query = ''): Promise<number> {
  const { status, body } = await send(local.apiKey, 'GET', `/usage/summary${query}`)
  expect([status, body.compute.cost.amount >= 0, body.total.amount >= 0]).toEqual([200, true, true])
  return body.compute.minutes
}

test('a rate limit does not change: no extra request passes and none is blocked longer', async () => {
  const { key } = await local.keys.create({ mode: 'test', plan: 'team', rpm: 3 })
  const ask = async () => (await send(key, 'GET', '/sessions')).status
  expect([await ask(), await ask(), await ask(), await ask()]).toEqual([200, 200, 200, 429])
  setBack(5 * hourMs)
  const refused = await send(key, 'GET', '/sessions')
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  await clock.advance(minuteMs)
  expect([await ask(), await ask(), await ask(), await ask()]).toEqual([200, 200, 200, 429])
})

test('sessions that are created later are listed first and found by their user, also after a restart', async () => {
  const key = local.apiKey
  const make = async () => (await send(key, 'POST', '/sessions', { userId: 'u' })).body.id
  const ids = [await make(), await make()]
  setBack(5 * hourMs)
  ids.push(await make(), await make())
  await local[Symbol.asyncDispose]()
  setBack(hourMs)
  local = await open()
  ids.push(await make())
  const { body } = await send(key, 'GET', '/sessions?userId=u')
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual(ids.toReversed())
  const pages = []
  for (let cursor = ''; ;) {
    const page = await send(key, 'GET', `/sessions?limit=2${cursor && `&cursor=${cursor}`}`)
    pages.push(...page.body.data.map(({ id }: { id: string }) => id))
    if (page.body.nextCursor === undefined) break
    cursor = page.body.nextCursor
  }
  expect(pages).toEqual(ids.toReversed())
  expect((await send(key, 'POST', '/sessions/by-user/u')).body.id).toBe(ids.at(-1))
})

test('an Idempotency-Key is stored for at least a day, and removed when that day is over', async () => {
  const key = local.apiKey
  const make = () => send(key, 'POST', '/sessions', { userId: 'once' }, { 'idempotency-key': 'k' })
  const { body: first } = await make()
  setBack(20 * hourMs)
  expect((await make()).body).toEqual(first)
  await clock.advance(2 * hourMs) // the hourly sweep has run, too
  expect((await make()).body).toEqual(first)
  clock.shift(41 * hourMs)
  expect((await make()).body).toEqual(first)
  clock.shift(2 * hourMs)
  expect((await make()).body.id).not.toBe(first.id)
})

test('events are stored for at least the retention time, and their numbers continue', async () => {
  await local[Symbol.asyncDispose]()
  local = await open({ eventRetentionMs: 2 * hourMs })
  const { key } = await local.keys.create({ mode: 'test', plan: 'team' })
  const { agentId } = await makeAgent(key)
  const run = async () => {
    const { body } = await send(key, 'POST', `/agents/${agentId}/run`, { task: 'theazo:steps=1' })
    await expect.poll(async () => (await send(key, 'GET', `/agents/${agentId}`)).body.status).toBe('idle')
    return body.taskId
  }
  /** Numbers of the stored events, up to the end of this number of runs. */
  const read = async (runs: number) => {
    const headers = { authorization: `Bearer ${key}`, 'last-event-id': '0' }
    const ids: number[] = []
    let outputs = 0
    const stream = await local.fetch(`${local.baseUrl}/agents/${agentId}/stream`, { headers })
    for await (const { id, type } of readEvents(stream)) {
      ids.push(id)
      if (type === 'output') outputs += 1
      else if (outputs === runs) break // the status event after the run
    }
    return ids
  }
  await run()
  const before = await read(1)
  expect(before).toEqual(before.map((_, index) => index + 1))
  setBack(5 * hourMs)
  await clock.advance(hourMs) // events are pruned every hour
  expect(await read(1)).toEqual(before)
  await run()
  const after = await read(2)
  expect(after.length).toBeGreaterThan(before.length)
  expect(after).toEqual(after.map((_, index) => index + 1))
  await clock.advance(3 * hourMs) // the second run is old now, but the first has a time in the future: pruning leaves no gap
  expect(await read(2)).toEqual(after)
  // Control: they are pruned once the clock has passed their time.
  await clock.advance(4 * hourMs)
  await run()
  expect((await read(1))[0]).toBe(after.length + 1)
})

test('usage is never negative, never decreases, and continues from its last value', async () => {
  const { sessionId, agentId } = await makeAgent(local.apiKey)
  await clock.advance(10 * minuteMs)
  expect(await minutes()).toBeCloseTo(10, 5)
  setBack(5 * hourMs)
  expect(await minutes()).toBeCloseTo(10, 5)
  expect(await minutes(`?sessionId=${sessionId}`)).toBeCloseTo(10, 5)
  await clock.advance(10 * minuteMs)
  const shown = await minutes()
  expect(shown).toBeGreaterThan(19.8) // the meter sees it up to one heartbeat later
  expect(shown).toBeLessThanOrEqual(20)

  await send(local.apiKey, 'POST', `/agents/${agentId}/pause`)
  setBack(hourMs)
  expect(await minutes()).toBeCloseTo(shown, 5)
  await send(local.apiKey, 'POST', `/agents/${agentId}/resume`)
  await clock.advance(5 * minuteMs)
  expect(await minutes()).toBeCloseTo(shown + 5, 5)
  setBack(2 * minuteMs)
  await send(local.apiKey, 'POST', `/agents/${agentId}/terminate`)
  expect(await minutes()).toBeCloseTo(shown + 5, 5)

  await local[Symbol.asyncDispose]()
  setBack(7 * hourMs)
  local = await open()
  expect(await minutes()).toBeCloseTo(shown + 5, 5)
})

test('a cap on compute minutes applies after those minutes, whatever the wall clock shows', async () => {
  const { sessionId, agentId } = await makeAgent(local.apiKey, { maxComputeMinutes: 15 })
  const statuses = async () => [
    (await send(local.apiKey, 'GET', `/sessions/${sessionId}`)).body.status,
    (await send(local.apiKey, 'GET', `/agents/${agentId}`)).body.status,
  ]
  await clock.advance(10 * minuteMs)
  setBack(5 * hourMs)
  await clock.advance(4 * minuteMs)
  expect(await statuses()).toEqual(['active', 'idle'])
  await clock.advance(2 * minuteMs)
  await expect.poll(statuses).toEqual(['paused', 'paused'])
  setBack(5 * hourMs)
  expect((await send(local.apiKey, 'POST', `/agents/${agentId}/resume`)).status).toBe(402)
  await send(local.apiKey, 'PATCH', `/sessions/${sessionId}`, { limits: { maxComputeMinutes: 30 } })
  expect((await send(local.apiKey, 'POST', `/agents/${agentId}/resume`)).status).toBe(200)
})

test('a cap for a day is not lifted if the clock is set back within that day', async () => {
  const limits = { maxCost: { amount: 50, currency: 'usd', period: 'day' } }
  const { sessionId, agentId } = await makeAgent(local.apiKey, limits)
  await clock.advance(11 * minuteMs)
  const status = async () => (await send(local.apiKey, 'GET', `/sessions/${sessionId}`)).body.status
  await expect.poll(status).toBe('paused')
  setBack(5 * hourMs)
  expect((await send(local.apiKey, 'POST', `/agents/${agentId}/resume`)).status).toBe(402)
  // Control: the next day lifts it.
  clock.shift(24 * hourMs)
  expect((await send(local.apiKey, 'POST', `/agents/${agentId}/resume`)).status).toBe(200)
  await expect.poll(status).toBe('active')
})

test('if the server is killed after it paused a session and before it paused the agents, the next start pauses them', async () => {
  const { sessionId, agentId } = await makeAgent(local.apiKey, { maxComputeMinutes: 5 })
  await clock.advance(6 * minuteMs)
  const status = async () => (await send(local.apiKey, 'GET', `/agents/${agentId}`)).body.status
  await expect.poll(status).toBe('paused')
  await local[Symbol.asyncDispose]()
  // The state after such a kill: the first of the two transactions is stored, the second is not.
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(join(dataDir, 'theazo.db'))
  database.prepare(`update agents set status = 'idle' where id = ?`).run(agentId)
  database.close()
  local = await open()
  await expect.poll(status).toBe('paused')
  expect((await send(local.apiKey, 'GET', `/sessions/${sessionId}`)).body.status).toBe('paused')
})
