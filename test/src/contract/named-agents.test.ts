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
const allOptions = {
  ...named,
  compute: { provider: 'docker' },
  model: { id: 'model-1' },
  browser: true,
  network: { allow: ['example.com', '*.example.org:8080'] },
}

/** Creates an agent, and then sends a create call with other options and the same name. */
async function createTwice(options: object, laterOptions: object) {
  const path = `/sessions/${await mocked.session()}/agents`
  const first = await mocked.post(path, options)
  expect(first.status).toBe(201)
  return { path, first, second: await mocked.post(path, laterOptions) }
}

describe('a create call with an existing name returns that agent', () => {
  test.each<[string, object, object]>([
    ['with the same options', allOptions, allOptions],
    ['with the name alone', allOptions, named],
    ['with a part of the options', allOptions, { ...named, model: { id: 'model-1' } }],
    ['with default values', named, { ...named, compute: { provider: 'local' }, browser: false }],
    ['with an empty list of hosts', named, { ...named, network: { allow: [] } }],
    [
      'with the same hosts in another notation',
      allOptions,
      { ...named, network: { allow: ['*.EXAMPLE.org:8080', 'example.com:443', 'example.com:80'] } },
    ],
    [
      'with other metadata, instructions and timeout, which apply only at creation',
      allOptions,
      { ...allOptions, metadata: { a: 1 }, instructions: 'x', timeout: 9 },
    ],
  ])('%s', async (_, options, laterOptions) => {
    const { first, second } = await createTwice(options, laterOptions)
    expect([second.status, second.body]).toEqual([200, first.body])
  })
})

describe('a create call with different options is 409 and names the field', () => {
  test.each<[object, object, string[]]>([
    [named, { network: { allow: ['example.com'] } }, ['network']],
    [allOptions, { network: { allow: ['example.com'] } }, ['network']],
    [allOptions, { network: { allow: [] } }, ['network']],
    [allOptions, { network: { allow: ['example.com', '*.example.org:8080', 'example.net'] } }, ['network']],
    [allOptions, { network: { allow: ['*'] } }, ['network']],
    [named, { compute: { provider: 'e2b' } }, ['compute']],
    [named, { model: { id: 'model-1' } }, ['model']],
    [allOptions, { model: { id: 'model-2' } }, ['model']],
    [named, { browser: true }, ['browser']],
    [allOptions, { browser: false }, ['browser']],
    [named, { browser: true, network: { allow: ['*'] } }, ['browser', 'network']],
  ])('%j, then %j', async (options, laterOptions, fields) => {
    const { path, first, second } = await createTwice(options, { ...named, ...laterOptions })
    expectError(second, 409, 'conflict')
    expect(Object.keys(second.body.error.details.fields)).toEqual(fields)
    for (const field of fields) expect(second.body.error.message).toContain(field)
    expect((await mocked.get(`/agents/${first.body.id}`)).body).toEqual(first.body) // it has not changed
    expect((await mocked.get(path)).body.data).toHaveLength(1)
  })
})

test('the name of a terminated agent is free', async () => {
  const { path, first, second } = await createTwice(named, { ...named, browser: true })
  expect(second.status).toBe(409)
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
  const conflict = session.agents.create({ name: 'main', network: { allow: ['example.com'] } })
  await expect(conflict).rejects.toMatchObject({
    name: 'ConflictError',
    details: { agentId: agent.id, fields: { network: ['differs from the existing agent: it reaches nothing'] } },
  })
})
