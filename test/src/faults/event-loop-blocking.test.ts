// Attacks on the server's event loop: large stored rows and long outputs of one tenant must not stop it for the others.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AgentStream, type StreamedEvent } from '../support/agent-stream.ts'
import { ApiCaller } from '../support/api-caller.ts'
import { collect } from '../support/collect.ts'

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'theazo-hostile-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

test('rows above the size limits, stored by an older server, are listed in pages of half a megabyte', async () => {
  const count = 12
  {
    await using local = await createLocalTheazo({ dataDir })
    const theazo = new Theazo(local)
    for (let index = 0; index < count; index += 1) {
      const session = await theazo.sessions.create({ userId: `user-${index}` })
      if (index === 0) for (let each = 0; each < count; each += 1) await session.agents.create()
    }
  }
  const database = new DatabaseSync(join(dataDir, 'theazo.db'))
  const large = JSON.stringify({ text: 'x'.repeat(250_000) })
  database.prepare('update sessions set metadata = ?').run(large)
  database.prepare('update agents set metadata = ?').run(large)
  database.close()

  const sizes: number[] = []
  await using local = await createLocalTheazo({ dataDir })
  const counting: typeof fetch = async (input, init) => {
    const response = await local.fetch(input, init)
    sizes.push((await response.clone().text()).length)
    return response
  }
  const theazo = new Theazo({ ...local, fetch: counting })
  const sessions = await collect(theazo.sessions.list({ limit: 100 }))
  expect(new Set(sessions.map(({ id }) => id)).size).toBe(count)
  const owner = sessions.find(({ data }) => data.userId === 'user-0')
  const agents = owner ? await collect(owner.agents.list({ limit: 100 })) : []
  expect(new Set(agents.map(({ id }) => id)).size).toBe(count)
  expect(sizes).toHaveLength(2 * (count / 2)) // pages are limited by the bytes read, not by the bytes shown
  const cut = { metadata: {}, metadataTruncated: true }
  for (const { data } of [...sessions, ...agents]) expect(data).toMatchObject(cut)

  // An update must bring the metadata below the limit.
  const [first] = sessions
  await expect(first?.update({ metadata: { more: 1 } })).rejects.toMatchObject({ code: 'unprocessable_entity' })
  await first?.update({ metadata: { text: null, more: 1 } })
  expect(first?.data).toMatchObject({ metadata: { more: 1 } })
  expect(first?.data.metadataTruncated).toBeUndefined()
})

test('pages of large rows that one key reads at the same time do not delay the page of another key', async () => {
  await using local = await createLocalTheazo({ dataDir })
  const { key } = await local.keys.create({ mode: 'live', project: 'hostile', plan: 'enterprise' })
  const hostile = new Theazo({ ...local, apiKey: key })
  for (let row = 0; row < 10; row += 1)
    await hostile.sessions.create({ userId: 'a', metadata: { text: 'x'.repeat(60_000) } })
  const state = { hostile: 0 }
  const pages = Array.from({ length: 40 }, async () => {
    const { data } = await hostile.sessions.list().page()
    state.hostile += 1
    return data.length
  })
  await new Theazo(local).sessions.list().page()
  expect(state.hostile).toBeLessThan(20) // in the order of the requests, it would be the last page
  expect(new Set(await Promise.all(pages))).toEqual(new Set([8]))
})

test('the long output of a run comes complete in few events, and other requests are answered meanwhile', async () => {
  await using local = await createLocalTheazo()
  const { key: apiKey } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  const agent = await (await new Theazo({ ...local, apiKey }).sessions.forUser('a')).agents.create()
  const other = await (await new Theazo(local).sessions.forUser('b')).agents.create()
  const words = Array.from({ length: 30_000 }, (_, index) => `w${index}`).join(' ')
  await using run = agent.run(`theazo:output="${words}"`)
  const state = { isEnded: false }
  const ended = run.result().finally(() => (state.isEnded = true))
  let deltas = 0
  let text = ''
  const followed = run.forward({
    onOutputDelta: (event) => {
      deltas += 1
      text += event.text
    },
  })
  await run.taskId
  let turns = 0
  while (!state.isEnded) {
    expect((await other.exec('bash', 'echo mine')).stdout).toBe('mine\n')
    turns += 1
  }
  await followed
  expect((await ended).output).toBe(words)
  expect([text, deltas <= 100, turns > 0]).toEqual([words, true, true])
})

test('an output that server restarts interrupt continues where it stopped, and its chunks form the whole output', async () => {
  const words = Array.from({ length: 30_000 }, (_, index) => `w${index}`).join(' ')
  const isDelta = ({ event }: StreamedEvent): boolean => event === 'output_delta'
  const textOf = (events: StreamedEvent[]): string =>
    events
      .filter(isDelta)
      .map(({ data }) => data.text)
      .join('')
  let apiKey = ''
  let id = ''
  let known = 0
  for (let cuts = 0; cuts < 3; cuts += 1) {
    await using local = await createLocalTheazo({ dataDir })
    if (cuts === 0) apiKey = (await local.keys.create({ mode: 'test', plan: 'enterprise' })).key
    const api = new ApiCaller({ ...local, apiKey })
    if (cuts === 0) {
      const { body: session } = await api.post('/sessions/by-user/a')
      id = (await api.post(`/sessions/${session.id}/agents`)).body.id
      await api.post(`/agents/${id}/run`, { task: `theazo:output="${words}"` })
    }
    await using stream = await AgentStream.open(api, id, known)
    known = (await stream.first((event) => isDelta(event) && event.id > known)).id
    expect(textOf(stream.events).length).toBeLessThan(words.length) // the restart interrupts it here
  }
  await using local = await createLocalTheazo({ dataDir })
  await using stream = await AgentStream.open(new ApiCaller({ ...local, apiKey }), id, 0)
  const { data } = await stream.first(({ event }) => event === 'output')
  expect(data.text).toBe(words)
  expect(textOf(stream.events)).toBe(words)
})

test('a deadline that fires late, because the server was busy, does not kill code that ended in time', async () => {
  await using local = await createLocalTheazo()
  const agent = await (await new Theazo(local).sessions.forUser('late')).agents.create()
  const begun = Promise.withResolvers<void>()
  const exec = agent.exec('bash', 'echo begun; sleep 0.3; echo done', {
    onStdout: () => begun.resolve(),
    timeoutMs: 60_000,
  })
  const limited = local.fetch(`${local.baseUrl}/agents/${agent.id}/exec`, {
    method: 'POST',
    headers: { authorization: `Bearer ${local.apiKey}` },
    body: JSON.stringify({ lang: 'bash', code: 'echo begun; sleep 0.5; echo in time', timeoutMs: 3_000 }),
  })
  await begun.promise
  await agent.exec('bash', 'true') // by then the second exec has started too
  const until = performance.now() + 5_000
  while (performance.now() < until); // blocks the event loop: nothing is read, and no timer fires
  expect((await exec).stdout).toBe('begun\ndone\n')
  const answer = await limited
  expect([answer.status, ((await answer.json()) as { stdout?: string }).stdout]).toEqual([200, 'begun\nin time\n'])
})

test('a deadline that fires late still kills code that runs too long', async () => {
  await using local = await createLocalTheazo()
  const agent = await (await new Theazo(local).sessions.forUser('late')).agents.create()
  await agent.exec('bash', 'true')
  const answer = local.fetch(`${local.baseUrl}/agents/${agent.id}/exec`, {
    method: 'POST',
    headers: { authorization: `Bearer ${local.apiKey}` },
    body: JSON.stringify({ lang: 'bash', code: 'sleep 100', timeoutMs: 500 }),
  })
  await agent.exec('bash', 'true')
  const until = performance.now() + 1_500
  while (performance.now() < until);
  expect((await answer).status).toBe(504)
})
