// Data of another project, or of the other mode, does not exist for a key. The routes come from the server's OpenAPI
// document, so that these rules apply to new routes automatically.
// The message of each assertion names the generated route.
/* oxlint-disable vitest/valid-expect */
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openapiRoutes, type Route, sampleOf } from './openapi-routes.ts'
import { metricOf } from '../support/metrics.ts'
import { type Answer, ApiCaller } from '../support/api-caller.ts'
import { ServerTestClock } from '../support/clock.ts'

interface Key {
  key: string
  keyId: string
}

/** The rows of a key. */
interface OwnedRows {
  owner: Key
  userId: string
  sessionId: string
  agentId: string
  /** Undefined for live keys: a task needs a model, and this server has none. */
  taskId: string | undefined
}

let server: LocalTheazo
let routes: Route[]
let keys: Record<'test' | 'live' | 'otherTest' | 'otherLive' | 'sameProject', Key>

beforeAll(async () => {
  // Time stands still, so that usage does not depend on the duration of the test.
  server = await createLocalTheazo({ clock: new ServerTestClock() })
  const make = (project: string, mode: 'test' | 'live') => server.keys.create({ project, mode, plan: 'enterprise' })
  keys = {
    test: await make('ours', 'test'),
    live: await make('ours', 'live'),
    otherTest: await make('theirs', 'test'),
    otherLive: await make('theirs', 'live'),
    sameProject: await make('ours', 'test'),
  }
  routes = await openapiRoutes(server.baseUrl, server.fetch)
})
afterAll(() => server[Symbol.asyncDispose]())

async function send(
  { key }: Key,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return await new ApiCaller({ ...server, apiKey: key }).send(method, path, JSON.stringify(body), { headers })
}

let rowSets = 0

async function createRows(owner: Key, task = 'Say hello.'): Promise<OwnedRows> {
  rowSets += 1
  const userId = `user-${rowSets}`
  const { body: session } = await send(owner, 'POST', '/sessions', { userId, metadata: { secret: 'ours' } })
  const { body: agent } = await send(owner, 'POST', `/sessions/${session.id}/agents`, { name: 'main' })
  const rows: OwnedRows = { owner, userId, sessionId: session.id, agentId: agent.id, taskId: undefined }
  if (owner === keys.live) return rows
  const { body: run } = await send(owner, 'POST', `/agents/${agent.id}/run`, { task })
  if (!task.includes('theazo:hang')) {
    const status = async () => (await send(owner, 'GET', `/agents/${agent.id}/tasks/${run.taskId}`)).body.status
    await expect.poll(status).toBe('completed')
  }
  return { ...rows, taskId: run.taskId }
}

/** Everything that the owner can read of its rows. */
async function viewOf({ owner, sessionId, agentId, taskId }: OwnedRows): Promise<unknown> {
  const paths = [
    '/sessions?limit=100',
    `/sessions/${sessionId}`,
    `/sessions/${sessionId}/agents?limit=100`,
    `/agents/${agentId}`,
    ...(taskId === undefined ? [] : [`/agents/${agentId}/tasks/${taskId}`]),
    '/usage/summary',
    `/usage/summary?sessionId=${sessionId}`,
  ]
  const bodies = await Promise.all(paths.map(async (path) => (await send(owner, 'GET', path)).body))
  return { bodies, events: await metricOf(server.baseUrl, 'theazo_events_total', server.fetch) }
}

/** The route's path with these ids. @throws for an unknown parameter: add it here. */
function pathIn({ sessionId, agentId, taskId }: OwnedRows, { path }: Route): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (name === 'id' && path.startsWith('/sessions/')) return sessionId
    if (name === 'id' && path.startsWith('/agents/')) return agentId
    if (name === 'path') return 'notes.txt'
    if (name === 'taskId') return taskId ?? 'task_01HX3K2M4N5P6Q7R8S9T0V1W2X'
    throw new Error(`what is {${name}} of ${path}?`)
  })
}

/** `by-user` creates a session if it finds none, so it has its own test. */
const takesIds = ({ path }: Route): boolean => path.includes('{') && !path.includes('{userId}')
const isOfTask = ({ path }: Route): boolean => path.includes('{taskId}')

/** Brings the rows into a state in which the owner's request succeeds. */
async function rowsFor(route: Route, owner: Key): Promise<OwnedRows> {
  const rows = await createRows(owner, route.path.endsWith('/cancel') ? 'theazo:hang' : undefined)
  if (route.path.endsWith('/resume')) await send(owner, 'POST', `/agents/${rows.agentId}/pause`)
  if (route.path.endsWith('/{path}'))
    await send(owner, 'POST', `/agents/${rows.agentId}/files`, { path: 'notes.txt', data: 'ours' })
  return rows
}

/** The owner's request. If it is refused, a refused probe proves nothing. */
async function expectOwnerPasses(rows: OwnedRows, route: Route, path: string, body: unknown): Promise<void> {
  const { status } = await send(rows.owner, route.method, path, body)
  const isNoModel = rows.owner === keys.live && route.path.endsWith('/run')
  expect([...route.statuses, ...(isNoModel ? [422] : [])], `${route.name} by the owner`).toContain(status)
}

function expectNotFound({ status, body }: Answer, why: string): void {
  expect({ status, code: body?.error?.code }, why).toEqual({ status: 404, code: 'not_found' })
  expect(JSON.stringify(body)).not.toContain('secret')
}

test('the OpenAPI document lists the routes of these tests', () => {
  expect(routes.filter(takesIds).length).toBeGreaterThan(11)
  const filters = routes.flatMap(({ query }) => Object.keys(query)).filter((name) => name.endsWith('Id'))
  // Filters by id are tested below; a new filter must be tested, too.
  expect([...new Set(filters)].toSorted()).toEqual(['keyId', 'lastEventId', 'sessionId', 'userId'])
})

describe.each(['test', 'live'] as const)('data of a %s key', (mode) => {
  test('is 404 for keys of another project and of the other mode on every route, and does not change', async () => {
    const strangers = (['otherTest', 'otherLive', mode === 'test' ? 'live' : 'test'] as const).map((name) => keys[name])
    const ids = routes.filter((route) => takesIds(route) && !(mode === 'live' && isOfTask(route)))
    for (const route of ids) {
      const rows = await rowsFor(route, keys[mode])
      const path = pathIn(rows, route)
      const body = route.body && sampleOf(route.body)
      const before = await viewOf(rows)
      for (const stranger of strangers) {
        for (const headers of [{}, { 'idempotency-key': `strange-${rows.agentId}` }]) {
          const answer = await send(stranger, route.method, path, body, headers)
          expectNotFound(answer, `${route.name} by ${stranger.keyId}`)
        }
      }
      expect(await viewOf(rows), route.name).toEqual(before)
      await expectOwnerPasses(rows, route, path, body)
    }
  })

  test('cannot be distinguished from data that does not exist: the answers are equal except for the id', async () => {
    const none = { sessionId: 'ses_01HX3K2M4N5P6Q7R8S9T0V1W2X', agentId: 'agt_01HX3K2M4N5P6Q7R8S9T0V1W2X' }
    const rows = await createRows(keys[mode])
    const unknown: OwnedRows = { ...rows, ...none, taskId: undefined }
    for (const route of routes.filter(takesIds)) {
      const body = route.body && sampleOf(route.body)
      const before = await viewOf(rows)
      const absent = await send(keys[mode], route.method, pathIn(unknown, route), body)
      expectNotFound(absent, `${route.name} of nothing`)
      expect(await viewOf(rows), route.name).toEqual(before)
      const foreign = await send(keys.otherTest, route.method, pathIn(rows, route), body)
      const withoutId = (answer: Answer): string =>
        JSON.stringify([answer.status, { ...answer.body.error, requestId: '' }]).replaceAll(/[a-z]+_\w{26}/g, 'ID')
      expect(withoutId(foreign), route.name).toBe(withoutId(absent))
    }
  })

  test('does not count for others: usage filters are 404 for a foreign session or key, and empty for a user', async () => {
    const rows = await createRows(keys[mode])
    const filters = { sessionId: rows.sessionId, keyId: keys[mode].keyId }
    const filtered = routes.filter(({ query }) => Object.keys(filters).some((name) => name in query))
    expect(filtered.length).toBeGreaterThan(0)
    for (const route of filtered) {
      for (const [name, value] of Object.entries(filters)) {
        const path = `${route.path}?${name}=${value}`
        for (const stranger of [keys.otherTest, keys.otherLive, keys[mode === 'test' ? 'live' : 'test']]) {
          expectNotFound(await send(stranger, route.method, path), `${route.name} by ${name}`)
        }
        expect((await send(rows.owner, route.method, path)).status).toBe(200)
        const absent = `${route.path}?${name}=${value.slice(0, -4)}0000`
        expectNotFound(await send(rows.owner, route.method, absent), `${route.name} by no ${name}`)
      }
    }
    const { body } = await send(keys.otherLive, 'GET', `/usage/summary?userId=${rows.userId}`)
    expect(body).toMatchObject({ compute: { minutes: 0 }, storage: { gb: 0 }, total: { amount: 0 } })
  })
})

test('control: a key of the same project and mode can read all of it', async () => {
  expect(keys.sameProject.keyId).not.toBe(keys.test.keyId)
  for (const route of routes.filter(takesIds)) {
    const rows = await rowsFor(route, keys.test)
    await expectOwnerPasses(
      { ...rows, owner: keys.sameProject },
      route,
      pathIn(rows, route),
      route.body && sampleOf(route.body),
    )
  }
})

test("a task belongs to its agent: with another agent's id in the path it is 404", async () => {
  const [a, b] = [await createRows(keys.test, 'theazo:hang'), await createRows(keys.test)]
  const stranger = await createRows(keys.otherTest)
  for (const route of routes.filter(isOfTask)) {
    const before = await viewOf(a)
    expectNotFound(await send(a.owner, route.method, pathIn({ ...b, taskId: a.taskId }, route)), route.name)
    expectNotFound(
      await send(stranger.owner, route.method, pathIn({ ...stranger, taskId: a.taskId }, route)),
      route.name,
    )
    expect(await viewOf(a)).toEqual(before)
    expect((await send(a.owner, route.method, pathIn(a, route))).status).toBe(200)
  }
})

test('lists contain only rows of the project and mode', async () => {
  const made = {
    test: await createRows(keys.test),
    live: await createRows(keys.live),
    otherTest: await createRows(keys.otherTest),
  }
  for (const [name, { sessionId, userId }] of Object.entries(made)) {
    const seen = async (key: Key, query: string) =>
      (await send(key, 'GET', `/sessions?limit=100&${query}`)).body.data.map(({ id }: { id: string }) => id)
    for (const reader of ['test', 'live', 'otherTest', 'otherLive'] as const) {
      for (const query of ['', `userId=${userId}`, 'status=active']) {
        const ids = await seen(keys[reader], query)
        if (reader === name) expect(ids).toContain(sessionId)
        else expect(ids).not.toContain(sessionId)
      }
    }
  }
})

test("a cursor of another project's list is only a position in time, and lists only the caller's own rows", async () => {
  const mine = (await createRows(keys.otherTest)).sessionId
  for (let n = 0; n < 3; n += 1) await createRows(keys.test)
  const { body: theirs } = await send(keys.test, 'GET', '/sessions?limit=1')
  expect(theirs.nextCursor).toMatch(/^cur_/)
  const { body: page } = await send(keys.otherTest, 'GET', `/sessions?limit=100&cursor=${theirs.nextCursor}`)
  const ids = page.data.map(({ id }: { id: string }) => id)
  expect(ids).toContain(mine)
  const owned = (await send(keys.otherTest, 'GET', '/sessions?limit=100')).body.data.map(({ id }: { id: string }) => id)
  expect(owned).toEqual(expect.arrayContaining(ids))
})

test('by user, each project and each mode has its own session, whatever its options', async () => {
  const owners = [keys.test, keys.live, keys.otherTest, keys.otherLive]
  const ask = (key: Key, n: number) => send(key, 'POST', '/sessions/by-user/shared-name', { metadata: { n } })
  const first = await Promise.all(owners.map(ask))
  expect(first.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  expect(new Set(first.map(({ body }) => body.id)).size).toBe(4)
  expect(first.map(({ body }) => body.metadata.n)).toEqual([0, 1, 2, 3])
  const again = await Promise.all(owners.map((key) => ask(key, 9)))
  expect(again.map(({ body }) => body)).toEqual(first.map(({ body }) => body))
  // Two keys of one project belong to one tenant.
  expect((await ask(keys.sameProject, 9)).body).toEqual(first[0]?.body)
})

test('an idempotency key belongs to the API key that sent it, also within a project', async () => {
  const headers = { 'idempotency-key': 'the-same-for-all' }
  const senders = [keys.test, keys.sameProject, keys.otherTest, keys.live]
  const post = (key: Key) => send(key, 'POST', '/sessions', { userId: 'idempotent' }, headers)
  const first = await Promise.all(senders.map(post))
  expect(first.map(({ status }) => status)).toEqual([201, 201, 201, 201])
  expect(new Set(first.map(({ body }) => body.id)).size).toBe(4)
  for (const [n, sender] of senders.entries()) {
    const again = await post(sender)
    expect([again.body, again.headers.get('idempotent-replayed')]).toEqual([first[n]?.body, 'true'])
  }
  // A different body is a conflict only for the API key that sent the first one.
  const other = { userId: 'another' }
  expect((await send(keys.test, 'POST', '/sessions', other, headers)).status).toBe(409)
  expect((await send(keys.otherLive, 'POST', '/sessions', other, headers)).status).toBe(201)
})

test("an agent's name is looked up only in its session", async () => {
  const [a, b] = [await createRows(keys.test), await createRows(keys.otherTest)]
  const { status, body } = await send(b.owner, 'POST', `/sessions/${b.sessionId}/agents`, { name: 'main' })
  expect([status, body.id]).toEqual([200, b.agentId])
  expect(body.id).not.toBe(a.agentId)
})

test('a terminated agent, whose stream is a replay, still belongs to its owner only', async () => {
  const rows = await createRows(keys.test)
  await send(rows.owner, 'POST', `/agents/${rows.agentId}/terminate`)
  const path = `/agents/${rows.agentId}/stream?lastEventId=0`
  expectNotFound(await send(keys.otherTest, 'GET', path), 'its replay')
  expect((await send(rows.owner, 'GET', path)).status).toBe(200)
})
