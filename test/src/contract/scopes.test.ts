// The scopes of a key, the order in which errors are reported, and keys created and revoked while a server runs.
// The message of each assertion names the generated route.
/* oxlint-disable vitest/valid-expect */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalTheazo, type LocalTheazo, type Scope } from '@theazo/server'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openapiRoutes, type Route, sampleOf } from './openapi-routes.ts'
import { root, startServer } from '../support/server-process.ts'
import { type Answer, ApiCaller, answerOf } from '../support/api-caller.ts'

let server: LocalTheazo
let routes: Route[]
let all: string

beforeAll(async () => {
  server = await createLocalTheazo()
  routes = await openapiRoutes(server.baseUrl, server.fetch)
  all = await keyWith('read', 'exec', 'admin')
})
afterAll(() => server[Symbol.asyncDispose]())

const keyWith = async (...scopes: Scope[]): Promise<string> =>
  (await server.keys.create({ mode: 'test', plan: 'enterprise', scopes })).key

async function send(key: string, method: string, path: string, init: RequestInit = {}): Promise<Answer> {
  return await answerOf(await new ApiCaller({ ...server, apiKey: key }).open(path, { ...init, method }))
}

const post = (path: string, body: unknown = {}, key = all) => send(key, 'POST', path, { body: JSON.stringify(body) })
const statusAndCode = ({ status, body }: Answer) => ({ status, code: body?.error?.code })

/** Rows for a request of any route, in a state in which the request succeeds. */
async function pathFor({ path }: Route): Promise<string> {
  const { body: session } = await post('/sessions', { userId: 'scopes' })
  const { body: agent } = await post(`/sessions/${session.id}/agents`)
  const task = path.endsWith('/cancel') ? 'theazo:hang' : 'Say hello.'
  const { body: run } = path.includes('{taskId}')
    ? await post(`/agents/${agent.id}/run`, { task })
    : { body: { taskId: '' } }
  if (path.endsWith('/resume')) await post(`/agents/${agent.id}/pause`)
  const values: Record<string, string> = {
    id: path.startsWith('/sessions/') ? session.id : agent.id,
    taskId: run.taskId,
    userId: 'scopes',
    path: 'notes.txt',
  }
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? expect.fail(`what is {${name}}?`))
}

/** The rule: read allows every GET; exec also creates sessions and POSTs to agents; admin also changes and ends sessions. */
function neededFor({ method, path }: Route): Scope {
  if (method === 'GET') return 'read'
  return method === 'POST' && path !== '/sessions/{id}/terminate' ? 'exec' : 'admin'
}

const bodyOf = ({ body }: Route): RequestInit => (body ? { body: JSON.stringify(sampleOf(body)) } : {})

test('a user id may equal the name of a route, and does not change the required scope', async () => {
  const key = await keyWith('exec')
  for (const user of ['terminate', 'agents', 'exec', 'plain']) {
    expect((await post(`/sessions/by-user/${user}`, {}, key)).status).toBe(200)
  }
  const { body } = await post('/sessions/by-user/plain')
  expect(statusAndCode(await post(`/sessions/${body.id}/terminate`, {}, key))).toEqual({
    status: 403,
    code: 'forbidden',
  })
})

describe('every route', () => {
  test.each<[Scope[], Scope[]]>([
    [['read'], ['read']],
    [['exec'], ['read', 'exec']],
    [['admin'], ['read', 'exec', 'admin']],
    [
      ['read', 'exec'],
      ['read', 'exec'],
    ],
    [
      ['read', 'admin'],
      ['read', 'exec', 'admin'],
    ],
  ])('allows a key with %j exactly the requests of %j, and answers 403 to the rest', async (scopes, covered) => {
    const key = await keyWith(...scopes)
    const passed = new Set<number>()
    expect(routes.length).toBeGreaterThan(17)
    for (const route of routes) {
      const needed = neededFor(route)
      const path = await pathFor(route)
      const answer = await send(key, route.method, path, bodyOf(route))
      if (covered.includes(needed)) {
        expect(route.statuses, route.name).toContain(answer.status)
        passed.add(answer.status)
        continue
      }
      expect(statusAndCode(answer), route.name).toEqual({ status: 403, code: 'forbidden' })
      expect(answer.body.error.message).toContain(needed)
      expect(answer.body.error.details).toEqual({ scope: needed })
      // Control: with the scope, the same request finds its row unchanged.
      expect(route.statuses, route.name).toContain((await send(all, route.method, path, bodyOf(route))).status)
    }
    expect(passed.size).toBeGreaterThan(0)
  })

  test('without the scope is 403 whatever else is wrong with the request', async () => {
    const reader = await keyWith('read')
    const refused = routes.filter((route) => neededFor(route) !== 'read')
    expect(refused.length).toBeGreaterThan(10)
    for (const { method, path: template, name } of refused) {
      const path = template.replaceAll(/\{\w+\}/g, 'none')
      const wrongs: RequestInit[] = [
        {},
        { body: '{' },
        { body: 'x'.repeat(10 * 1024 * 1024 + 1) },
        { body: '{}', headers: { 'idempotency-key': 'one for all' } },
        { body: '{}', headers: { 'idempotency-key': `first-${name.replaceAll(' ', '')}` } },
        { body: '{"a":1}', headers: { 'idempotency-key': `first-${name.replaceAll(' ', '')}` } },
      ]
      for (const wrong of wrongs) {
        const what = `${name} ${JSON.stringify(wrong.headers)} ${String(wrong.body).slice(0, 20)}`
        expect(statusAndCode(await send(reader, method, path, wrong)), what).toEqual({ status: 403, code: 'forbidden' })
      }
      // Control: with the scope, one of the other errors is reported.
      expect([200, 404, 422]).toContain((await send(all, method, path)).status)
    }
  })

  test('without a valid key is 401 whatever else is wrong with the request', async () => {
    for (const { method, path } of routes) {
      for (const key of ['th_test_wrong', 'x']) {
        const init = method === 'GET' ? {} : { body: '{', headers: { 'idempotency-key': 'a b' } }
        const answer = await send(key, method, path.replaceAll(/[{}]/g, ''), init)
        expect(statusAndCode(answer)).toEqual({ status: 401, code: 'unauthorized' })
      }
    }
  })

  test('with a body reports an invalid body before an unknown id', async () => {
    for (const route of routes.filter(({ body, path }) => body && path.includes('{id}'))) {
      const path = route.path.replaceAll(/\{\w+\}/g, 'none')
      expect(statusAndCode(await send(all, route.method, path, { body: '[]' })), route.name).toMatchObject({
        status: 422,
      })
      expect(statusAndCode(await send(all, route.method, path, bodyOf(route))), route.name).toMatchObject({
        status: 404,
      })
    }
  })
})

describe('if a request has several errors', () => {
  const unpayable = { limits: { maxComputeMinutes: 0 } }

  async function agentIn(metadata: object = {}) {
    const { body: session } = await post('/sessions', { userId: 'order', metadata })
    const { body: agent } = await post(`/sessions/${session.id}/agents`)
    const reach = () => send(all, 'PATCH', `/sessions/${session.id}`, { body: JSON.stringify(unpayable) })
    return { sessionId: session.id as string, agentId: agent.id as string, reach }
  }

  test.each([
    ['exec', { lang: 'bash', code: '' }],
    ['run', { task: 'x' }],
    ['resume', {}],
  ])('%s reports a terminated agent before a reached limit', async (verb, body) => {
    const { agentId, reach } = await agentIn()
    await post(`/agents/${agentId}/terminate`)
    await reach()
    expect(statusAndCode(await post(`/agents/${agentId}/${verb}`, body))).toEqual({ status: 409, code: 'conflict' })
  })

  test.each([
    ['exec', { lang: 'bash', code: '' }, { lang: 'bash' }],
    ['run', { task: 'x' }, { task: '' }],
  ])('%s reports an invalid body, then a reached limit, then a paused agent', async (verb, body, bad) => {
    const { agentId, sessionId, reach } = await agentIn()
    await post(`/agents/${agentId}/pause`)
    await reach()
    expect(statusAndCode(await post(`/agents/${agentId}/${verb}`, bad))).toMatchObject({ status: 422 })
    const answer = await post(`/agents/${agentId}/${verb}`, body)
    expect(statusAndCode(answer)).toEqual({ status: 402, code: 'session_limit_exceeded' })
    await send(all, 'PATCH', `/sessions/${sessionId}`, { body: '{"limits":null}' })
    expect(statusAndCode(await post(`/agents/${agentId}/${verb}`, body))).toEqual({ status: 409, code: 'conflict' })
  })

  test('resume of an agent that is not paused is 402 while the limit is reached', async () => {
    const { agentId, sessionId, reach } = await agentIn()
    expect(statusAndCode(await post(`/agents/${agentId}/resume`))).toMatchObject({ status: 409 })
    await reach()
    expect(statusAndCode(await post(`/agents/${agentId}/resume`))).toMatchObject({ status: 402 })
    await send(all, 'PATCH', `/sessions/${sessionId}`, { body: '{"limits":null}' })
    expect((await post(`/agents/${agentId}/resume`)).status).toBe(200) // the limit had paused the agent
  })

  test('creating an agent reports a terminated session before a reached limit', async () => {
    const { body: session } = await post('/sessions', { userId: 'order', ...unpayable })
    const path = `/sessions/${session.id}/agents`
    expect(statusAndCode(await post(path))).toMatchObject({ status: 402 })
    await post(`/sessions/${session.id}/terminate`)
    expect(statusAndCode(await post(path))).toMatchObject({ status: 409 })
    expect(statusAndCode(await post(path, { timeout: 0 }))).toMatchObject({ status: 422 })
  })
})

describe('theazo-server keys', () => {
  const bin = join(root, 'packages/server/dist/bin.js')
  let dataDir: string
  /** The data folder of a server that has ended, for tests that change nothing. */
  let served: string
  beforeAll(async () => {
    served = mkdtempSync(join(tmpdir(), 'theazo-served-'))
    await using _ = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--data-dir', served, '--json'])
  })
  afterAll(() => rmSync(served, { recursive: true, force: true }))
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'theazo-keys-'))
  })
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

  const serve = () => startServer(process.execPath, [bin, 'serve', '--port', '0', '--data-dir', dataDir, '--json'])

  /** Asynchronous, because a server in this process must continue to run. */
  function cli(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, [bin, ...args], { timeout: 30_000 }, (error, out, err) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, err })
      })
    })
  }

  const keys = (...args: string[]) => cli('keys', ...args, '--data-dir', dataDir)
  const statusOf = async (url: string, key: string, method = 'GET') =>
    (await fetch(`${url}/sessions`, { method, headers: { authorization: `Bearer ${key}` } })).status

  test('creates a key that a running server accepts immediately, prints it once and stores only its hash', async () => {
    await using server = await serve()
    const made = await keys('create', '--test', '--plan', 'team', '--json')
    expect([made.code, made.err]).toEqual([0, ''])
    const { apiKey: key, ...info } = JSON.parse(made.out)
    expect(key).toMatch(/^th_test_[\w-]{43}$/)
    expect(info).toMatchObject({ mode: 'test', project: 'default', plan: 'team', rpm: 1000 })
    expect(info.scopes).toEqual(['read', 'exec', 'admin'])
    expect(await statusOf(server.url, key)).toBe(200)

    const listed = await keys('list', '--json')
    expect(JSON.parse(listed.out)).toContainEqual(info)
    const text = await keys('list')
    expect(text.out).toContain(info.keyId)
    for (const { out } of [listed, text]) expect(out).not.toContain(key.slice(8))
    expect(filesWith(key.slice(8))).toEqual([])
    // Control: the search finds other text of those files.
    expect(filesWith(info.keyId)).toContain('theazo.db-wal')
    expect(filesWith(server.apiKey)).toEqual(['api-key'])
    expect(server.output.err).not.toContain(key)
  })

  function filesWith(text: string): string[] {
    return readdirSync(dataDir, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name)).includes(text))
      .map(({ name }) => name)
      .toSorted()
  }

  test('creates keys with the given options', async () => {
    await using server = await serve()
    const made = await keys(
      'create',
      '--live',
      '--plan',
      'free',
      '--project',
      'acme.prod-1',
      '--rpm',
      '3',
      '--scopes',
      'read',
      '--json',
    )
    const { apiKey: key, ...info } = JSON.parse(made.out)
    expect(info).toMatchObject({ mode: 'live', project: 'acme.prod-1', plan: 'free', rpm: 3, scopes: ['read'] })
    expect(await statusOf(server.url, key, 'POST')).toBe(403)
    expect(await statusOf(server.url, key)).toBe(200)
    expect(await statusOf(server.url, key)).toBe(200)
    expect(await statusOf(server.url, key)).toBe(429)
  })

  test('revokes a key immediately, also a key in use, and can be repeated', async () => {
    await using server = await serve()
    const [a, b] = await Promise.all(
      [1, 2].map(async () => JSON.parse((await keys('create', '--test', '--plan', 'team', '--json')).out)),
    )
    for (const { apiKey } of [a, b]) expect(await statusOf(server.url, apiKey)).toBe(200)
    const revoked = await keys('revoke', a.keyId)
    expect(revoked).toMatchObject({ code: 0, err: '' })
    expect(revoked.out).toContain(`${a.keyId} is no longer accepted`)
    expect([await statusOf(server.url, a.apiKey), await statusOf(server.url, b.apiKey)]).toEqual([401, 200])
    const listed = async () => JSON.parse((await keys('list', '--json')).out)
    const first = await listed()
    expect(first).toContainEqual(expect.objectContaining({ keyId: a.keyId, revokedAt: expect.any(String) }))
    expect((await keys('revoke', a.keyId)).code).toBe(0)
    expect(await listed()).toEqual(first)
  })

  test('a key is in no log, no metric and no error, of the server or the program', async () => {
    await using server = await serve()
    const { apiKey: key, keyId } = JSON.parse((await keys('create', '--test', '--plan', 'team', '--json')).out)
    const wrong = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`
    const headers = { authorization: `Bearer ${key}` }
    const answers = await Promise.all([
      fetch(`${server.url}/sessions`, { headers }),
      fetch(`${server.url}/nowhere?key=${key}`, { headers }),
      fetch(`${server.url}/sessions`, { method: 'DELETE', headers }),
      fetch(`${server.url}/sessions`, { method: 'POST', headers, body: '{' }),
      fetch(`${server.url}/sessions`, { headers: { authorization: `Bearer ${wrong}` } }),
      fetch(`${server.url}/sessions`, { headers: { authorization: key } }),
      fetch(`${server.url}/usage/summary?keyId=${keyId}0`, { headers }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 405, 422, 401, 401, 404])
    const metrics = await fetch(new URL('/metrics', server.url))
    expect(metrics.status).toBe(200)
    const texts = await Promise.all([...answers, metrics].map((answer) => answer.text()))
    const allTexts = texts.concat(answers.map(({ headers }) => JSON.stringify([...headers])))
    const random = key.slice('th_test_'.length, -1) // of the invalid key, too
    for (const text of allTexts) expect(text).not.toContain(random)
    for (const run of [await keys('revoke', key), await keys('list', key), await keys(key)]) {
      expect(run.code).toBe(1)
      expect(run.out).toBe('')
    }
    await server[Symbol.asyncDispose]()
    const lines = server.output.err.trim().split('\n')
    expect(lines.length).toBeGreaterThan(6)
    expect(server.output.err).not.toContain(random)
    expect(server.output.err).not.toContain(server.apiKey)
  })

  test('keys are valid after a restart, and a revoked key stays revoked', async () => {
    let [kept, gone] = [
      { apiKey: '', keyId: '' },
      { apiKey: '', keyId: '' },
    ]
    {
      await using server = await serve()
      kept = JSON.parse((await keys('create', '--test', '--plan', 'team', '--json')).out)
      gone = JSON.parse((await keys('create', '--test', '--plan', 'team', '--json')).out)
      await keys('revoke', gone.keyId)
      expect(await statusOf(server.url, kept.apiKey)).toBe(200)
    }
    await using server = await serve()
    expect([await statusOf(server.url, kept.apiKey), await statusOf(server.url, gone.apiKey)]).toEqual([200, 401])
  })

  test('the embedded key cannot be revoked: the message states what to do instead', async () => {
    await using server = await serve()
    const [embedded] = JSON.parse((await keys('list', '--json')).out)
    expect(embedded).toMatchObject({ isEmbedded: true })
    const { code, err } = await keys('revoke', embedded.keyId)
    expect(code).toBe(1)
    expect(err).toMatch(/is the embedded key\. Delete the file api-key/)
    expect(await statusOf(server.url, server.apiKey)).toBe(200)
  })

  test.each([
    [['create', '--plan', 'team'], /--live or --test/],
    [['create', '--live', '--test', '--plan', 'team'], /--live or --test/],
    [['create', '--test'], /--plan: free, cloud, team, enterprise/],
    [['create', '--test', '--plan', 'gold'], /--plan must be one of .*, not gold/],
    [['create', '--test', '--plan', 'team', '--rpm', '0'], /--rpm must be a number from 1 to \d+, not 0/],
    [['create', '--test', '--plan', 'team', '--rpm', '1e3'], /--rpm must be a number .* not 1e3/],
    [['create', '--test', '--plan', 'team', '--rpm', '-1'], /--rpm/],
    [['create', '--test', '--plan', 'team', '--rpm', '99999999999'], /--rpm/],
    [
      ['create', '--test', '--plan', 'team', '--scopes', 'write'],
      /--scopes must be one of read, exec, admin, not write/,
    ],
    [['create', '--test', '--plan', 'team', '--scopes', ''], /--scopes/],
    [['create', '--test', '--plan', 'team', '--scopes', 'read,,exec'], /--scopes/],
    [['create', '--test', '--plan', 'team', '--project', ''], /--project must be 1 to 64/],
    [['create', '--test', '--plan', 'team', '--project', '../x y'], /--project must be 1 to 64 .* not \.\.\/x y/],
    [['create', '--test', '--plan', 'team', '--project', 'x'.repeat(65)], /--project/],
    [['create', '--test', '--plan', 'team', '--nope'], /--nope/],
    [['create', '--test=yes', '--plan', 'team'], /--test/],
    [['create', '--test', '--plan'], /--plan/],
    [['create', 'more', '--test', '--plan', 'team'], /keys needs create, list or revoke ID, not create more/],
    [['revoke'], /keys needs create, list or revoke ID, not revoke/],
    [['revoke', 'key_none'], /There is no key key_none; "keys list" shows/],
    [['revoke', 'a', 'b'], /keys needs/],
    [['list', 'more'], /keys needs/],
    [['toString'], /keys needs/],
    [[], /keys needs create, list or revoke ID, not nothing/],
  ])('invalid arguments are named, change nothing and exit with 1: %j', async (args, says) => {
    const { code, out, err } = await cli('keys', ...args, '--data-dir', served)
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(says)
    expect(err).not.toMatch(/\bat .*:\d+/)
    // No key was created or revoked: only the server's embedded key exists.
    const { out: listed } = await cli('keys', 'list', '--json', '--data-dir', served)
    expect(JSON.parse(listed)).toEqual([expect.objectContaining({ isEmbedded: true })])
  })

  test('a folder that no server has created is reported, and is not created', async () => {
    for (const folder of [join(dataDir, 'none'), dataDir]) {
      const { code, err } = await cli('keys', 'list', '--data-dir', folder)
      expect(code).toBe(1)
      expect(err).toMatch(/is not the data folder of a server/)
    }
    expect(readdirSync(dataDir)).toEqual([])
    expect((await cli('keys', 'list', '--data-dir', '')).err).toMatch(/--data-dir must be a folder/)
    expect((await cli('keys', 'list')).err).toMatch(/--data-dir DIR/)
  })
})
