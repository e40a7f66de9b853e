// The number of requests per minute for a key (contract, Rate limits), on a clock that the test moves.
import { createLocalTheazo, type LocalTheazo, type Plan } from '@theazo/server'
import { array, asyncProperty, assert, constantFrom, integer, nat, oneof } from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, ApiCaller } from '../support/api-caller.ts'
import { ServerTestClock } from '../support/clock.ts'

const clock = new ServerTestClock()
let local: LocalTheazo
beforeAll(async () => {
  local = await createLocalTheazo({ clock })
})
afterAll(() => local[Symbol.asyncDispose]())

async function callerOf(plan: Plan, rpm?: number): Promise<ApiCaller> {
  const { key } = await local.keys.create({ mode: 'test', plan, rpm })
  return new ApiCaller({ ...local, apiKey: key })
}

const ask = (caller: ApiCaller): Promise<Answer> => caller.get('/sessions?limit=1')

/** The status and the rate limit headers; a missing header is NaN. */
function limitOf({ status, headers }: Answer) {
  const number = (name: string): number => Number.parseInt(headers.get(name) ?? '', 10)
  return {
    status,
    limit: number('ratelimit-limit'),
    remaining: number('ratelimit-remaining'),
    reset: number('ratelimit-reset'),
    retryAfter: number('retry-after'),
  }
}

/** The simplest model of the rule: a list of the requests that passed. */
class NaiveWindow {
  readonly passedAt: number[] = []
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  inWindow(now: number): number[] {
    return this.passedAt.filter((time) => time > now - 60_000)
  }

  isFree(now: number): boolean {
    return this.inWindow(now).length < this.#limit
  }
}

/** Milliseconds between two requests: bursts, steady calls, and the window's edges. Quarters are exact in binary. */
const gap = oneof(
  { arbitrary: constantFrom(0, 0, 0, 0.25, 1), weight: 4 },
  { arbitrary: integer({ min: 1, max: 80_000 }).map((quarters) => quarters / 4), weight: 3 },
  { arbitrary: constantFrom(59_999, 59_999.75, 60_000, 60_000.25, 120_000), weight: 1 },
)

test('each request passes or is refused as the model predicts, and the headers are correct', async () => {
  let refused = 0
  // Long enough that every seed is refused some hundreds of times (at least 713 in 1,500 seeds).
  const gaps = array(gap, { minLength: 20, maxLength: 60 })
  const property = asyncProperty(integer({ min: 1, max: 8 }), gaps, async (limit, gaps) => {
    const caller = await callerOf('enterprise', limit)
    const window = new NaiveWindow(limit)
    for (const ms of gaps) {
      clock.jump(ms)
      const now = clock.monotonic()
      const isFree = window.isFree(now)
      if (isFree) window.passedAt.push(now)
      const answer = await ask(caller)
      const { status, remaining, reset, retryAfter, ...rest } = limitOf(answer)
      expect({ status, limit: rest.limit, remaining }).toEqual({
        status: isFree ? 200 : 429,
        limit,
        remaining: limit - window.inWindow(now).length,
      })
      // Whole seconds, and never longer than until one more request would pass.
      const leftAfter = (seconds: number): number => window.inWindow(now + seconds * 1000).length
      expect(leftAfter(reset)).toBeLessThan(window.inWindow(now).length)
      expect(leftAfter(reset - 1)).toBe(window.inWindow(now).length)
      if (isFree) {
        expect(retryAfter).toBeNaN()
        continue
      }
      refused += 1
      expect(window.isFree(now + retryAfter * 1000)).toBe(true)
      expect(window.isFree(now + (retryAfter - 1) * 1000)).toBe(false)
      expect(answer.body.error).toMatchObject({ code: 'rate_limited', details: { retryAfter } })
    }
    // No minute contains more than the limit. It is enough to check minutes that start with a passed request.
    for (const from of window.passedAt) {
      expect(window.passedAt.filter((time) => time >= from && time < from + 60_000).length).toBeLessThanOrEqual(limit)
    }
  })
  await assert(property, { numRuns: 60, endOnFailure: true })
  expect(refused).toBeGreaterThan(50)
})

test('a caller that waits for Retry-After passes, whenever the limit was reached', async () => {
  const property = asyncProperty(
    integer({ min: 1, max: 5 }),
    array(nat(70_000), { minLength: 1 }),
    async (limit, gaps) => {
      const caller = await callerOf('enterprise', limit)
      for (const ms of gaps.slice(0, 10)) {
        clock.jump(ms)
        let answer = limitOf(await ask(caller))
        while (answer.status === 200) answer = limitOf(await ask(caller))
        clock.jump(answer.retryAfter * 1000)
        expect(limitOf(await ask(caller)).status).toBe(200)
      }
    },
  )
  await assert(property, { numRuns: 15, endOnFailure: true })
})

test.each([
  ['free', 60],
  ['cloud', 300],
  ['team', 1000],
] as const)('a key of the plan %s may send %i requests per minute', async (plan, limit) => {
  const caller = await callerOf(plan)
  for (let n = 1; n <= limit; n += 1) {
    expect(limitOf(await ask(caller))).toEqual({
      status: 200,
      limit,
      remaining: limit - n,
      reset: 60,
      retryAfter: Number.NaN,
    })
  }
  clock.jump(12_500)
  const refused = await ask(caller)
  expect(limitOf(refused)).toEqual({ status: 429, limit, remaining: 0, reset: 48, retryAfter: 48 })
  expect(refused.body).toEqual({
    error: {
      code: 'rate_limited',
      message: expect.stringContaining('48 seconds'),
      details: { retryAfter: 48 },
      requestId: refused.headers.get('x-request-id'),
    },
  })
})

test('a key of the plan enterprise has its own agreed limit', async () => {
  const caller = await callerOf('enterprise', 2)
  const answers = [await ask(caller), await ask(caller), await ask(caller)].map(limitOf)
  expect(answers.map(({ status, limit }) => [status, limit])).toEqual([
    [200, 2],
    [200, 2],
    [429, 2],
  ])
})

test('two bursts, at the end of one minute and at the start of the next, do not both pass', async () => {
  const caller = await callerOf('free')
  clock.jump(60_000 - (clock.now() % 60_000) - 1)
  for (let n = 0; n < 60; n += 1) expect((await ask(caller)).status).toBe(200)
  clock.jump(2)
  const next = await Promise.all(Array.from({ length: 60 }, () => ask(caller)))
  expect(new Set(next.map(({ status }) => status))).toEqual(new Set([429]))
})

test('refused requests do not count: a caller that keeps trying passes as early as one that waits', async () => {
  const caller = await callerOf('enterprise', 3)
  for (let n = 0; n < 3; n += 1) await ask(caller)
  for (let second = 0; second < 59; second += 1) {
    clock.jump(1000)
    expect((await ask(caller)).status).toBe(429)
  }
  clock.jump(1000)
  expect((await ask(caller)).status).toBe(200)
})

test('of concurrent requests exactly as many pass as the limit allows', async () => {
  const caller = await callerOf('enterprise', 20)
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(caller)))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(20)
  const remaining = answers.flatMap((answer) => (answer.status === 200 ? limitOf(answer).remaining : []))
  expect(remaining.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n))
})

test('each key has its own limit', async () => {
  const [a, b] = [await callerOf('enterprise', 1), await callerOf('enterprise', 1)]
  expect([(await ask(a)).status, (await ask(a)).status, (await ask(b)).status]).toEqual([200, 429, 200])
})

test('requests with error answers count and get the headers; an invalid key gets no headers', async () => {
  const caller = await callerOf('enterprise', 3)
  expect(limitOf(await caller.get('/agents/agt_none'))).toMatchObject({
    status: 404,
    limit: 3,
    remaining: 2,
    reset: 60,
  })
  expect(limitOf(await caller.post('/sessions', {}))).toMatchObject({ status: 422, remaining: 1 })
  expect(limitOf(await caller.get('/nowhere'))).toMatchObject({ status: 404, remaining: 0 })
  expect((await ask(caller)).status).toBe(429)
  const stranger = await ask(new ApiCaller({ ...local, apiKey: 'th_test_wrong' }))
  expect(limitOf(stranger)).toMatchObject({ status: 401, limit: Number.NaN, remaining: Number.NaN })
})

test('a stream counts once, however long it is open and however much it sends', async () => {
  const caller = await callerOf('enterprise', 10)
  const { body: session } = await caller.post('/sessions', { userId: 'stream' })
  const { body: agent } = await caller.post(`/sessions/${session.id}/agents`)
  const stream = await caller.open(`/agents/${agent.id}/stream`)
  expect(stream.headers.get('ratelimit-remaining')).toBe('7')
  await caller.post(`/agents/${agent.id}/run`, { task: 'theazo:steps=20' })
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
  for (let text = ''; !text.includes('event: output\n');) text += (await reader?.read())?.value ?? ''
  clock.jump(30_000)
  expect(limitOf(await ask(caller)).remaining).toBe(5)
  clock.jump(40_000)
  expect(limitOf(await ask(caller)).remaining).toBe(8)
  await reader?.cancel()
})
