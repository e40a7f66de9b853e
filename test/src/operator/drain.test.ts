// A server that receives a signal to end: running work may continue for the drain time.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readEvents } from '../support/event-reader.ts'
import { root, type ServerProcess, startServer } from '../support/server-process.ts'
import { metricOf } from '../support/metrics.ts'
import { ApiCaller } from '../support/api-caller.ts'

const bin = join(root, 'packages/server/dist/bin.js')
let dataDir = ''
let server: ServerProcess
let testKey = ''

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'theazo-drain-'))
})
afterEach(async () => {
  server.child.kill('SIGKILL')
  await server.ended
  rmSync(dataDir, { recursive: true })
})

async function start(drainSeconds: number): Promise<void> {
  const args = ['serve', '--port', '0', '--data-dir', dataDir, '--drain-seconds', String(drainSeconds), '--json']
  server = await startServer(process.execPath, [bin, ...args])
}

function makeTestKey(): void {
  const args = ['keys', 'create', '--data-dir', dataDir, '--test', '--plan', 'team', '--json']
  testKey = JSON.parse(execFileSync(process.execPath, [bin, ...args], { encoding: 'utf8' })).apiKey
}

async function send(key: string, method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const caller = new ApiCaller({ baseUrl: server.url, apiKey: key })
  return await caller.send(method, path, JSON.stringify(body), { headers })
}

async function makeAgent(key: string): Promise<string> {
  const session = await send(key, 'POST', '/sessions', { userId: 'drain' })
  return (await send(key, 'POST', `/sessions/${session.body.id}/agents`, {})).body.id
}

const bash = (code: string) => ({ lang: 'bash', code })

/** The readiness of the server, as a load balancer requests it: each time on a new connection. */
async function readiness(): Promise<number> {
  return (await fetch(new URL('/readyz', server.url), { headers: { connection: 'close' } })).status
}

test('a running exec ends and is answered, new work is refused, reads and /readyz are answered, and the exit code is 0', async () => {
  await start(60)
  const key = server.apiKey
  const agentId = await makeAgent(key)
  const running = send(
    key,
    'POST',
    `/agents/${agentId}/exec`,
    bash('touch begun; until [[ -e go ]]; do sleep 0.05; done; echo done'),
  )
  // Control: this exec starts while the server is not closing, and later lets the other exec end.
  expect(
    (await send(key, 'POST', `/agents/${agentId}/exec`, bash('until [[ -e begun ]]; do sleep 0.02; done'))).status,
  ).toBe(200)
  expect(await readiness()).toBe(200)
  const later = send(key, 'POST', `/agents/${agentId}/exec`, bash('sleep 2; touch go; echo gone'))
  await expect.poll(() => metricOf(server.url, 'theazo_execs_running')).toBe(2)

  server.child.kill('SIGTERM')
  await expect.poll(readiness).toBe(503)
  expect((await send(key, 'GET', `/agents/${agentId}`)).body.status).toBe('idle')
  const refused = await send(key, 'POST', `/agents/${agentId}/exec`, bash('touch not-made'))
  expect([refused.status, refused.body.error.code]).toEqual([502, 'provider_error'])

  expect(await running).toMatchObject({ status: 200, body: { stdout: 'done\n', exitCode: 0 } })
  expect(await later).toMatchObject({ status: 200, body: { stdout: 'gone\n' } })
  expect(await server.ended).toBe(0)
  expect(server.output.err).not.toContain('not-made')

  await start(60)
  expect((await send(key, 'POST', `/agents/${agentId}/exec`, bash('ls'))).body.stdout).toBe('begun\ngo\n')
})

test('an exec that takes longer than the drain is killed and answered 502, and never runs again with its idempotency key', async () => {
  await start(1)
  const key = server.apiKey
  const agentId = await makeAgent(key)
  const code = bash('echo x >> count; sleep 300; echo y >> count')
  const headers = { 'idempotency-key': 'drained-1' }
  const running = send(key, 'POST', `/agents/${agentId}/exec`, code, headers)
  await send(key, 'POST', `/agents/${agentId}/exec`, bash('until [[ -e count ]]; do sleep 0.02; done'))
  server.child.kill('SIGTERM')
  expect(await running).toMatchObject({ status: 502, body: { error: { code: 'provider_error' } } })
  expect(await server.ended).toBe(0)

  await start(1)
  const again = await send(key, 'POST', `/agents/${agentId}/exec`, code, headers)
  expect(again).toMatchObject({ status: 409, body: { error: { details: { reason: 'interrupted' } } } })
  expect((await send(key, 'POST', `/agents/${agentId}/exec`, bash('cat count'))).body.stdout).toBe('x\n')
})

test('streams end with a comment, and a task continues after the restart without repeating a step', async () => {
  await start(60)
  makeTestKey()
  const agentId = await makeAgent(testKey)
  const headers = { authorization: `Bearer ${testKey}` }
  const stream = await fetch(`${server.url}/agents/${agentId}/stream`, { headers })
  const task = 'theazo:steps=30 theazo:delay=50 theazo:output=on'
  const { taskId } = (await send(testKey, 'POST', `/agents/${agentId}/run`, { task })).body
  await expect
    .poll(async () => (await send(testKey, 'GET', `/agents/${agentId}/tasks/${taskId}`)).body.usage.inputTokens)
    .toBeGreaterThan(200)
  server.child.kill('SIGTERM')
  const text = await stream.text()
  expect(text).toMatch(/\n: the server is shutting down\n\n$/)
  const seen = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))
  expect(seen).toEqual(seen.map((_, index) => index + (seen[0] ?? 0)))
  expect(await server.ended).toBe(0)

  await start(60)
  const answer = await fetch(`${server.url}/agents/${agentId}/stream`, {
    headers: { ...headers, 'last-event-id': '0' },
  })
  const events = []
  for await (const event of readEvents(answer)) {
    events.push(event)
    if (event.type === 'output' || event.type === 'error') break
  }
  expect(events.at(-1)).toMatchObject({ type: 'output', data: expect.stringContaining('"text":"on"') })
  for (const type of ['tool_call', 'tool_result']) {
    const ids = events.filter((event) => event.type === type).map(({ data }) => JSON.parse(data).id)
    expect([ids.length, new Set(ids).size]).toEqual([30, 30])
  }
  const ended = await send(testKey, 'GET', `/agents/${agentId}/tasks/${taskId}`)
  expect(ended.body).toMatchObject({ status: 'completed', output: 'on', usage: { inputTokens: 3100 } })
})

test('a hanging task delays the end of the server only for the drain time, and is still there after the restart', async () => {
  await start(1)
  makeTestKey()
  const agentId = await makeAgent(testKey)
  const { taskId } = (await send(testKey, 'POST', `/agents/${agentId}/run`, { task: 'theazo:hang' })).body
  server.child.kill('SIGTERM')
  expect(await server.ended).toBe(0)
  await start(1)
  const path = `/agents/${agentId}/tasks/${taskId}`
  expect((await send(testKey, 'GET', path)).body.status).toBe('running')
  expect((await send(testKey, 'POST', `${path}/cancel`)).status).toBe(200)
  expect((await send(testKey, 'GET', path)).body.status).toBe('cancelled')
})
