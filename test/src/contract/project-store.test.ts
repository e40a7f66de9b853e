// The limit on a project's stored data: all projects share the disk.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createLocalTheazo, listenTheazo, type LocalTheazo } from '@theazo/server'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ApiCaller } from '../support/api-caller.ts'
import { ServerTestClock } from '../support/clock.ts'
import { metricsOf } from '../support/metrics.ts'

const kib = 1024
let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'theazo-store-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

/** A caller with a key of the project. */
async function callerOf(local: LocalTheazo, project: string, mode: 'live' | 'test' = 'test'): Promise<ApiCaller> {
  const { key: apiKey } = await local.keys.create({ mode, plan: 'enterprise', project })
  return new ApiCaller({ ...local, apiKey })
}

const full = {
  status: 409,
  body: { error: { code: 'conflict', details: { reason: 'store_full', maxStoredBytes: 100 * kib } } },
}
const large = { text: 'x'.repeat(40 * kib) }

test('a project that has reached its storage limit stores nothing new; reads, execs and other projects continue', async () => {
  await using local = await createLocalTheazo({ dataDir, maxProjectBytes: 100 * kib })
  const [api, other] = [await callerOf(local, 'full'), await callerOf(local, 'other')]
  const { body: session } = await api.post('/sessions', { userId: 'u', metadata: large })
  const { body: agent } = await api.post(`/sessions/${session.id}/agents`, { name: 'a' })
  for (const userId of ['v', 'w']) expect((await api.post('/sessions', { userId, metadata: large })).status).toBe(201)

  expect(await api.post('/sessions', { userId: 'x' })).toMatchObject(full)
  expect(await api.post('/sessions/by-user/x', {})).toMatchObject(full)
  expect(await api.post(`/sessions/${session.id}/agents`)).toMatchObject(full)
  expect(await api.post(`/agents/${agent.id}/run`, { task: 'anything' })).toMatchObject(full)
  expect(await api.patch(`/sessions/${session.id}`, { metadata: { more: 'than before' } })).toMatchObject(full)

  expect((await api.post('/sessions/by-user/u', {})).body.id).toBe(session.id)
  expect((await api.post(`/sessions/${session.id}/agents`, { name: 'a' })).body.id).toBe(agent.id)
  expect((await api.post(`/agents/${agent.id}/exec`, { lang: 'bash', code: 'echo on' })).body.stdout).toBe('on\n')
  expect((await api.get('/sessions')).body.data).toHaveLength(3)
  expect((await other.post('/sessions', { userId: 'x' })).status).toBe(201)

  expect((await api.patch(`/sessions/${session.id}`, { metadata: null })).status).toBe(200)
  expect((await api.post('/sessions', { userId: 'x' })).status).toBe(201)
})

test('answers are not stored for a full project, but its retries are still not run again', async () => {
  await using local = await createLocalTheazo({ dataDir, maxProjectBytes: 100 * kib })
  const api = await callerOf(local, 'full')
  const { body: session } = await api.post('/sessions', { userId: 'u', metadata: large })
  const { body: agent } = await api.post(`/sessions/${session.id}/agents`)
  const exec = (key: string) => {
    return api.post(`/agents/${agent.id}/exec`, { lang: 'bash', code: 'echo on' }, { 'idempotency-key': key })
  }
  expect((await exec('first')).status).toBe(200)
  expect((await exec('first')).body.stdout).toBe('on\n') // stored: there is space
  for (const userId of ['v', 'w']) await api.post('/sessions', { userId, metadata: large })
  expect((await exec('second')).body.stdout).toBe('on\n')
  expect(await exec('second')).toMatchObject({ status: 409, body: { error: { details: { reason: 'not_kept' } } } })
})

test('the stored size always matches the rows, and /metrics shows it', async () => {
  const clock = new ServerTestClock()
  {
    await using local = await createLocalTheazo({ dataDir, clock })
    for (const project of ['a', 'b']) await useEverything(await callerOf(local, project))
  }
  expect(Object.keys(counts())).toEqual(['a', 'b'])
  expect(counts()).toEqual(recounted())

  clock.jump(8 * 24 * 3_600_000) // events and stored answers expire
  const before = counts()
  {
    await using server = await listenTheazo({ port: 0, dataDir, clock })
    const metrics = await metricsOf(server.url)
    expect(metrics).toContain(`theazo_project_stored_bytes{project="a"} ${counts()['a']}`)
    expect(counts()['a']).toBeLessThan(before['a'] ?? 0)
  }
  expect(counts()).toEqual(recounted())
})

test('a store of an earlier version is measured when it is opened', async () => {
  {
    await using local = await createLocalTheazo({ dataDir })
    for (const project of ['a', 'b']) await useEverything(await callerOf(local, project))
  }
  withDatabase((database) => {
    const triggers = database.prepare("select name from sqlite_master where type = 'trigger'").all()
    for (const { name } of triggers) database.exec(`drop trigger ${String(name)}`)
    database.exec("drop table project_store; delete from kysely_migration where name >= '0006'")
    for (const column of [
      'agents drop column approvals',
      'tasks drop column pending_call',
      'tasks drop column is_fresh',
      'tasks drop column is_suspended',
    ])
      database.exec(`alter table ${column}`)
  })
  await using _ = await createLocalTheazo({ dataDir })
  expect(counts()).toEqual(recounted())
  expect(Object.keys(counts())).toEqual(['a', 'b'])
})

async function useEverything(api: ApiCaller): Promise<void> {
  const { body: session } = await api.post('/sessions', { userId: 'ü', metadata: large })
  await api.patch(`/sessions/${session.id}`, { metadata: { text: 'shorter, é', more: [1, 2] } })
  const { body: agent } = await api.post(`/sessions/${session.id}/agents`, {
    name: 'a',
    instructions: 'Be kind ☺.',
    metadata: { of: 'agent' },
    idleTimeout: { seconds: 600, action: 'pause' },
  })
  const exec = { lang: 'bash', code: 'echo on' }
  await api.post(`/agents/${agent.id}/exec`, exec, { 'idempotency-key': 'k' })
  await api.post('/sessions', { userId: 'cut' }, { 'idempotency-key': 'again' })
  expect((await api.post(`/agents/${agent.id}/run`, { task: 'one two three' })).status).toBe(202)
  await expect.poll(async () => (await api.get(`/agents/${agent.id}`)).body.status).toBe('idle')
  await api.post(`/agents/${agent.id}/pause`)
  await api.post(`/agents/${agent.id}/terminate`)
}

function withDatabase<Result>(use: (database: DatabaseSync) => Result): Result {
  const database = new DatabaseSync(join(dataDir, 'theazo.db'))
  try {
    return use(database)
  } finally {
    database.close()
  }
}

function counts(): Record<string, number> {
  const rows = withDatabase((database) => database.prepare('select * from project_store order by project').all())
  return Object.fromEntries(rows.map(({ project, bytes }) => [String(project), Number(bytes)]))
}

/** Computed from the rows: 200 bytes for each row, plus its texts. */
function recounted(): Record<string, number> {
  const ofAgent = 'join agents on agents.id = row.agent_id join sessions on sessions.id = agents.session_id'
  const tables: [string, string, string[]][] = [
    ['sessions', 'join sessions on sessions.id = row.id', ['user_id', 'limits', 'metadata']],
    [
      'agents',
      'join sessions on sessions.id = row.session_id',
      ['name', 'metadata', 'reason', 'model_id', 'instructions', 'tools', 'network', 'idle_timeout'],
    ],
    ['tasks', ofAgent, ['prompt', 'output', 'error']],
    [
      'task_steps',
      `join tasks on tasks.id = row.task_id ${ofAgent.replace('row.agent_id', 'tasks.agent_id')}`,
      ['step'],
    ],
    ['events', ofAgent, ['data']],
    ['idempotency', 'join api_keys as sessions on sessions.id = row.key_id', ['key', 'body']],
  ]
  const sums: Record<string, number> = {}
  withDatabase((database) => {
    for (const [table, joins, texts] of tables) {
      const columns = texts.map((text) => `row.${text} as ${text}`).join(', ')
      const rows = database.prepare(`select sessions.project, ${columns} from ${table} as row ${joins}`).all()
      expect(rows.length).toBeGreaterThanOrEqual(0)
      for (const { project, ...values } of rows) {
        const size = Object.values(values).reduce<number>(
          (sum, text) => sum + Buffer.byteLength(String(text ?? '')),
          200,
        )
        sums[String(project)] = (sums[String(project)] ?? 0) + size
      }
    }
  })
  return sums
}
