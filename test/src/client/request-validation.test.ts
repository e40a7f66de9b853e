// Invalid requests that the client refuses before it sends anything.
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let local: LocalTheazo
let theazo: Theazo
let sent = 0
beforeAll(async () => {
  local = await createLocalTheazo()
  const { key } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  const fetch: typeof globalThis.fetch = (input, init) => {
    sent += 1
    return local.fetch(input, init)
  }
  theazo = new Theazo({ ...local, apiKey: key, fetch })
})
afterAll(() => local[Symbol.asyncDispose]())

async function refusal(call: () => Promise<unknown>): Promise<string> {
  const before = sent
  const error = await call().then(
    () => expect.fail('it was sent'),
    (thrown: unknown) => thrown,
  )
  expect(error).toMatchObject({ name: 'ConfigurationError', code: 'configuration_error' })
  expect(sent).toBe(before)
  return (error as Error).message
}

describe('metadata that JSON cannot carry', () => {
  const circle: Record<string, unknown> = { a: {} }
  circle['b'] = { c: [circle] }
  test.each<[string, Record<string, unknown>, string]>([
    ['a bigint', { count: 10n }, 'metadata.count cannot be sent as JSON: it is a bigint, 10n'],
    ['a bigint further down', { rows: [{ id: 1 }, { id: 2n ** 64n }] }, 'metadata.rows.1.id cannot be sent'],
    ['a circle', circle, 'metadata.b.c.0 cannot be sent as JSON: it contains itself'],
  ])('%s is named by its field', async (_, metadata, says) => {
    const session = await theazo.sessions.create({ userId: 'u' })
    expect(await refusal(() => theazo.sessions.create({ userId: 'u', metadata }))).toContain(says)
    expect(await refusal(() => theazo.sessions.forUser('u', { metadata }))).toContain(says)
    expect(await refusal(() => session.update({ metadata }))).toContain(says)
    expect(await refusal(() => session.agents.create({ metadata }))).toContain(says)
  })

  test('the same object twice is allowed, and a toJSON that throws is the error', async () => {
    const twice = { a: 1 }
    const session = await theazo.sessions.create({ userId: 'u', metadata: { one: twice, two: twice } })
    expect(session.data.metadata).toEqual({ one: twice, two: twice })
    const own = new RangeError('not today')
    const throwing = {
      toJSON() {
        throw own
      },
    }
    await expect(theazo.sessions.create({ userId: 'u', metadata: { throwing } })).rejects.toBe(own)
  })
})

describe('a user whose id is a dot segment', () => {
  test.each(['.', '..'])('%s is refused as a user id by every method', async (userId) => {
    const says = `${JSON.stringify(userId)} cannot be sent as an id`
    expect(await refusal(() => theazo.sessions.forUser(userId))).toContain(says)
    expect(await refusal(() => theazo.sessions.create({ userId }))).toContain(says)
    const response = await local.fetch(`${local.baseUrl}/sessions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${local.apiKey}` },
      body: JSON.stringify({ userId }),
    })
    expect(response.status).toBe(422)
    expect(await response.json()).toMatchObject({
      error: { details: { fields: { userId: [expect.stringContaining('a URL path cannot contain it')] } } },
    })
  })

  test.each(['...', 'a..', '%2e%2e', '. .', '../x'])('%s is the same user by every method', async (userId) => {
    const session = await theazo.sessions.create({ userId })
    expect((await theazo.sessions.forUser(userId)).id).toBe(session.id)
  })
})
