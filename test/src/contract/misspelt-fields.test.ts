// A misspelt cap must not be ignored: unknown fields are refused in objects in which they would be settings without effect.
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer } from '../support/api-caller.ts'
import { type CheckedCaller, expectFields, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let mocked: CheckedCaller
let sessionId: string
beforeAll(async () => {
  ;({ server, mocked } = await listenWithCallers())
  sessionId = await mocked.session()
})
afterAll(() => server[Symbol.asyncDispose]())

const cost = { amount: 1, currency: 'usd', period: 'day' }

/** Every route that accepts limits. */
const limitRoutes: [string, (limits: unknown) => Promise<Answer>][] = [
  ['POST /sessions', (limits) => mocked.post('/sessions', { userId: 'u', limits })],
  ['POST /sessions/by-user', (limits) => mocked.post('/sessions/by-user/u', { limits })],
  ['PATCH /sessions/:id', (limits) => mocked.patch(`/sessions/${sessionId}`, { limits })],
]

describe.each(limitRoutes)('limits of %s', (_, send) => {
  test.each([
    [{ maxComputMinutes: 1 }, 'limits', 'maxComputMinutes', 'maxComputeMinutes'],
    [{ maxcomputeminutes: 1 }, 'limits', 'maxcomputeminutes', 'maxComputeMinutes'],
    [{ max_agents: 1 }, 'limits', 'max_agents', 'maxAgents'],
    [{ maxAgents: 1, maxCosts: cost }, 'limits', 'maxCosts', 'maxCost'],
    [{ maxCost: { ...cost, perid: 'day' } }, 'limits.maxCost', 'perid', 'period'],
    [{ maxCost: { ...cost, ammount: 5 } }, 'limits.maxCost', 'ammount', 'amount'],
  ])('refuse %j', async (limits, field, unknown, nearest) => {
    const answer = await send(limits)
    expectFields(answer, field)
    const says = `has an unknown field '${unknown}'; did you mean '${nearest}'?`
    expect(answer.body.error.details.fields[field]).toEqual([says])
  })

  test('are accepted if all names are known', async () => {
    const limits = { maxCost: cost, maxAgents: 2, maxComputeMinutes: 3 }
    expect((await send(limits)).status).toBeLessThan(300)
  })
})

test('a misspelt field is reported before the required field that is missing', async () => {
  const { amount, ...rest } = cost
  const answer = await mocked.post('/sessions', { userId: 'u', limits: { maxCost: { ...rest, amout: amount } } })
  expect(answer.status).toBe(422)
  expect(answer.body.error.message).toContain("did you mean 'amount'?")
})

test.each([
  [{ network: { alow: ['example.com'] } }, 'network', "unknown field 'alow'; did you mean 'allow'?"],
  [{ network: { allow: [], deny: ['example.com'] } }, 'network', "unknown field 'deny'; did you mean 'allow'?"],
  [{ idleTimeout: { seconds: 60, action: 'pause', idle: 1 } }, 'idleTimeout', "unknown field 'idle'"],
])('an agent is not made with %j', async (body, field, says) => {
  const answer = await mocked.post(`/sessions/${sessionId}/agents`, body)
  expect([answer.status, answer.body.error.details.fields[field]?.[0]]).toEqual([422, expect.stringContaining(says)])
})

test('unknown fields are ignored in all other objects', async () => {
  expect((await mocked.post('/sessions', { userId: 'u', limit: {}, metadata: { maxAgent: 1 } })).status).toBe(201)
  const path = `/sessions/${sessionId}/agents`
  const agent = await mocked.post(path, {
    compute: { provider: 'local', size: 'xl' },
    model: { id: 'm', top: 1 },
    nam: 1,
  })
  expect(agent.status).toBe(201)
  expect((await mocked.post(`/agents/${agent.body.id}/exec`, { lang: 'bash', code: '', cwdd: '/' })).status).toBe(200)
  expect((await mocked.post(`/agents/${agent.body.id}/run`, { task: 'x', tsk: 1 })).status).toBe(202)
})
