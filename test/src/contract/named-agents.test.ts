// A name returns the existing agent, but never one that differs from the requested options (contract, `agents`).
import { Theazo } from '@theazo/core'
import type { ListeningTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CheckedCaller, expectError, listenWithCallers } from '../support/checked-caller.ts'

let server: ListeningTheazo
let mocked: CheckedCaller
beforeAll(async () => {
  ;({ server, mocked } = await listenWithCallers())
})
afterAll(() => server[Symbol.asyncDispose]())

const named = { name: 'main' }
const whole = {
  ...named,
  compute: { provider: 'docker' },
  model: { id: 'model-1' },
  browser: true,
  network: { allow: ['example.com', '*.example.org:8080'] },
}

/** Creates an agent, and then requests its name again. */
async function madeThenAsked(made: object, asked: object) {
  const path = `/sessions/${await mocked.session()}/agents`
  const first = await mocked.post(path, made)
  expect(first.status).toBe(201)
  return { path, first, again: await mocked.post(path, asked) }
}

describe('a create call with an existing name returns that agent', () => {
  test.each<[string, object, object]>([
    ['the same is asked for', whole, whole],
    ['nothing but the name is asked for', whole, named],
    ['a part of it is asked for', whole, { ...named, model: { id: 'model-1' } }],
    ['what is the default is asked for', named, { ...named, compute: { provider: 'local' }, browser: false }],
    ['no network is asked for', named, { ...named, network: { allow: [] } }],
    [
      'the network is the same, and written otherwise',
      whole,
      { ...named, network: { allow: ['*.EXAMPLE.org:8080', 'example.com:443', 'example.com:80'] } },
    ],
    [
      'fields differ that count when it is made',
      whole,
      { ...whole, metadata: { a: 1 }, instructions: 'x', timeout: 9 },
    ],
  ])('%s', async (_, made, asked) => {
    const { first, again } = await madeThenAsked(made, asked)
    expect([again.status, again.body]).toEqual([200, first.body])
  })
})

describe('a create call with different options is 409 and names the field', () => {
  test.each<[object, object, string[]]>([
    [named, { network: { allow: ['example.com'] } }, ['network']],
    [whole, { network: { allow: ['example.com'] } }, ['network']],
    [whole, { network: { allow: [] } }, ['network']],
    [whole, { network: { allow: ['example.com', '*.example.org:8080', 'example.net'] } }, ['network']],
    [whole, { network: { allow: ['*'] } }, ['network']],
    [named, { compute: { provider: 'e2b' } }, ['compute']],
    [named, { model: { id: 'model-1' } }, ['model']],
    [whole, { model: { id: 'model-2' } }, ['model']],
    [named, { browser: true }, ['browser']],
    [whole, { browser: false }, ['browser']],
    [named, { browser: true, network: { allow: ['*'] } }, ['browser', 'network']],
  ])('%j, then %j', async (made, asked, fields) => {
    const { path, first, again } = await madeThenAsked(made, { ...named, ...asked })
    expectError(again, 409, 'conflict')
    expect(Object.keys(again.body.error.details.fields)).toEqual(fields)
    for (const field of fields) expect(again.body.error.message).toContain(field)
    expect((await mocked.get(`/agents/${first.body.id}`)).body).toEqual(first.body) // it has not changed
    expect((await mocked.get(path)).body.data).toHaveLength(1)
  })
})

test('the name of a terminated agent is free', async () => {
  const { path, first, again } = await madeThenAsked(named, { ...named, browser: true })
  expect(again.status).toBe(409)
  await mocked.post(`/agents/${first.body.id}/terminate`)
  expect((await mocked.post(path, { ...named, browser: true })).status).toBe(201)
})

test('concurrent calls with different networks create one agent, and the others are 409', async () => {
  const path = `/sessions/${await mocked.session()}/agents`
  const hosts = ['a.example.com', 'b.example.com']
  const bodies = Array.from({ length: 20 }, (_, n) => ({ ...named, network: { allow: [hosts[n % 2]] } }))
  const answers = await Promise.all(bodies.map((body) => mocked.post(path, body)))
  const allowed = answers.find(({ status }) => status === 201)?.body.network.allow[0]
  for (const [n, { status }] of answers.entries()) {
    expect([200, 201].includes(status)).toBe(hosts[n % 2] === allowed)
    if (hosts[n % 2] !== allowed) expect(status).toBe(409)
  }
})

test('the client rejects with a ConflictError whose details name the field', async () => {
  const theazo = new Theazo({ baseUrl: mocked.url, apiKey: mocked.key })
  const session = await theazo.sessions.create({ userId: 'u' })
  const agent = await session.agents.create({ name: 'main' })
  expect((await session.agents.create({ name: 'main' })).id).toBe(agent.id)
  const asked = session.agents.create({ name: 'main', network: { allow: ['example.com'] } })
  await expect(asked).rejects.toMatchObject({
    name: 'ConflictError',
    details: { agentId: agent.id, fields: { network: ['differs from the existing agent: it reaches nothing'] } },
  })
})
