// The disk of the data folder is full, then has space again. Each test mounts and unmounts a small tmpfs.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { canMount } from '../support/can-mount.ts'
import { readEvents } from '../support/event-reader.ts'
import { root, type ServerProcess, startServer } from '../support/server-process.ts'
import { ApiCaller } from '../support/api-caller.ts'

if (!canMount) console.warn('full-disk.test.ts is skipped: only root can mount the small disk that it fills') // oxlint-disable-line no-console -- states what is skipped

const bin = join(root, 'packages/server/dist/bin.js')
let [disk, dataDir, filler] = ['', '', '']
let server: ServerProcess
let testKey = ''

beforeEach(async () => {
  if (!canMount) return
  disk = mkdtempSync(join(tmpdir(), 'theazo-disk-'))
  execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=700', 'theazo-full-disk', disk])
  ;[dataDir, filler] = [join(disk, 'data'), join(disk, 'filler')]
  server = await start()
  const args = ['keys', 'create', '--data-dir', dataDir, '--test', '--plan', 'enterprise', '--json']
  testKey = JSON.parse(execFileSync(process.execPath, [bin, ...args], { encoding: 'utf8' })).apiKey
})
afterEach(async () => {
  if (!canMount) return
  await server[Symbol.asyncDispose]()
  execFileSync('/usr/bin/umount', [disk])
  rmdirSync(disk)
})

const start = () => startServer(process.execPath, [bin, 'serve', '--port', '0', '--data-dir', dataDir, '--json'])

/** Fills the disk to the last page. */
function fill(): void {
  const { bavail, bsize } = statfsSync(disk)
  try {
    writeFileSync(filler, Buffer.alloc(bavail * bsize))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' }) // the server wrote at the same time
  }
  expect(statfsSync(disk).bavail).toBe(0)
}

function makeRoom(): void {
  truncateSync(filler, 0)
  rmSync(filler)
}

async function send(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const caller = new ApiCaller({ baseUrl: server.url, apiKey: testKey })
  return await caller.send(method, path, JSON.stringify(body), { headers })
}

/** Writes until a write is refused. Until then SQLite uses space that it reserved before. */
async function untilRefused(): Promise<string[]> {
  const made: string[] = []
  for (let n = 0; n < 5000; n += 1) {
    const answer = await send('POST', '/sessions', { userId: `u-${n}`, metadata: { text: 'x'.repeat(2000) } })
    if (answer.status === 500) {
      expect(answer.body.error).toMatchObject({ code: 'internal_error', requestId: expect.stringMatching(/^req_/) })
      return made
    }
    expect(answer.status).toBe(201)
    made.push(answer.body.id)
  }
  throw new Error('the disk was never full')
}

/** The logged error of a failed request. */
function faultOf(requestId: string): string | undefined {
  const lines = server.output.err.split('\n').filter((line) => line.includes(requestId) && line.endsWith('}'))
  return lines.map((line) => JSON.parse(line)).find(({ level }) => level === 50)?.err.message
}

async function agentOf(userId: string): Promise<{ sessionId: string; agentId: string }> {
  const session = await send('POST', '/sessions', { userId })
  const agent = await send('POST', `/sessions/${session.body.id}/agents`, {})
  expect(agent.body.status).toBe('idle')
  return { sessionId: session.body.id, agentId: agent.body.id }
}

async function events(agentId: string, isEnd: (type: string) => boolean) {
  const headers = { authorization: `Bearer ${testKey}`, 'last-event-id': '0' }
  const all = []
  for await (const event of readEvents(await fetch(`${server.url}/agents/${agentId}/stream`, { headers }))) {
    all.push(event)
    if (isEnd(event.type)) return all
  }
  return all
}

describe.runIf(canMount)('while the disk is full', () => {
  test('writes fail with 500 and a log line, reads work, and with space again everything works without a restart', async () => {
    const { sessionId, agentId } = await agentOf('before')
    fill()
    const made = await untilRefused()

    for (const [method, path, body] of [
      ['POST', '/sessions', { userId: 'refused', metadata: { text: 'x'.repeat(20_000) } }],
      ['PATCH', `/sessions/${sessionId}`, { metadata: { text: 'x'.repeat(20_000) } }],
      ['POST', '/sessions/by-user/refused', { metadata: { text: 'x'.repeat(20_000) } }],
      ['POST', `/sessions/${sessionId}/agents`, { instructions: 'x'.repeat(20_000) }],
      ['POST', `/agents/${agentId}/run`, { task: 'x'.repeat(20_000) }],
    ] as const) {
      const answer = await send(method, path, body)
      expect([path, answer.status, answer.body.error?.code]).toEqual([path, 500, 'internal_error'])
      await expect.poll(() => faultOf(answer.body.error.requestId)).toMatch(/full/)
    }
    for (const path of ['/sessions', `/sessions/${sessionId}`, `/agents/${agentId}`, '/usage/summary']) {
      expect([path, (await send('GET', path)).status]).toEqual([path, 200])
    }
    expect((await send('GET', `/agents/${agentId}`)).body).toMatchObject({ status: 'idle', task: null })
    expect((await fetch(new URL('/readyz', server.url))).status).toBe(200)

    makeRoom()
    expect((await send('POST', '/sessions', { userId: 'after' })).status).toBe(201)
    expect((await send('POST', `/agents/${agentId}/run`, { task: 'theazo:output=on' })).status).toBe(202)
    expect((await events(agentId, (type) => type === 'output')).at(-1)?.data).toContain('"text":"on"')
    const users = await send('GET', '/sessions?userId=refused')
    expect(users.body.data).toEqual([])

    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(0)
    server = await start()
    for (const id of [sessionId, ...made]) expect((await send('GET', `/sessions/${id}`)).body.id).toBe(id)
    expect((await send('GET', `/agents/${agentId}`)).body.task).toMatchObject({ status: 'completed', output: 'on' })
  })

  test('acknowledged data survives a kill of the server', async () => {
    const { sessionId } = await agentOf('before')
    fill()
    const made = await untilRefused()
    server.child.kill('SIGKILL')
    await server.ended
    makeRoom()
    server = await start()
    for (const id of [sessionId, ...made]) expect((await send('GET', `/sessions/${id}`)).body.id).toBe(id)
  })

  test('a running task waits, and continues by itself when there is space', async () => {
    const { agentId } = await agentOf('task')
    const run = await send('POST', `/agents/${agentId}/run`, {
      task: 'theazo:steps=40 theazo:delay=20 theazo:output=on',
    })
    fill()
    await untilRefused()
    await expect.poll(() => server.output.err, { timeout: 20_000 }).toContain('work in the background failed')
    expect((await send('GET', `/agents/${agentId}`)).body).toMatchObject({
      status: 'running',
      task: { status: 'running' },
    })

    makeRoom()
    const all = await events(agentId, (type) => type === 'output' || type === 'error')
    expect(all.at(-1)).toMatchObject({ type: 'output', data: expect.stringContaining('"text":"on"') })
    expect(all.filter(({ type }) => type === 'tool_call')).toHaveLength(40)
    const task = await send('GET', `/agents/${agentId}/tasks/${run.body.taskId}`)
    expect(task.body).toMatchObject({ status: 'completed', usage: { inputTokens: 4_100 } })
    expect((await send('GET', `/agents/${agentId}`)).body.status).toBe('idle')
  })

  test('a pause waits for its task, and is answered when there is space', async () => {
    const { agentId } = await agentOf('pause')
    await send('POST', `/agents/${agentId}/run`, { task: 'theazo:steps=3 theazo:delay=500 theazo:output=on' })
    fill()
    await untilRefused()
    const paused = send('POST', `/agents/${agentId}/pause`)
    await expect.poll(() => server.output.err, { timeout: 20_000 }).toContain('work in the background failed')
    makeRoom()
    expect((await paused).body).toMatchObject({ status: 'paused', task: { status: 'paused' } })
    expect((await send('POST', `/agents/${agentId}/resume`)).body.status).toBe('running')
    const all = await events(agentId, (type) => type === 'output' || type === 'error')
    expect(all.at(-1)).toMatchObject({ type: 'output', data: expect.stringContaining('"text":"on"') })
  })

  test('an agent whose creation failed half-way does not stay booting', async () => {
    const { sessionId } = await agentOf('booting')
    fill()
    await untilRefused()
    // One more free page in each round: at some point the agent's row fits, and the update to ready does not.
    for (let pages = 1; pages <= 24; pages += 1) {
      const { bsize } = statfsSync(disk)
      truncateSync(filler, statSync(filler).size - bsize)
      await send('POST', `/sessions/${sessionId}/agents`, {})
    }
    const booting = async () => (await send('GET', `/sessions/${sessionId}/agents?status=booting`)).body.data
    expect(await booting()).not.toEqual([])
    makeRoom()
    await expect.poll(booting, { timeout: 10_000 }).toEqual([])
  })

  test('a refused request can be retried with the same Idempotency-Key', async () => {
    const { agentId } = await agentOf('again')
    fill()
    await untilRefused()
    const headers = { 'idempotency-key': 'again-1' }
    const body = { userId: 'again-user', metadata: { text: 'x'.repeat(20_000) } }
    expect((await send('POST', '/sessions', body, headers)).status).toBe(500)
    makeRoom()
    const { status, body: created } = await send('POST', '/sessions', body, headers)
    expect(status).toBe(201)
    expect(await send('POST', '/sessions', body, headers)).toMatchObject({ status, body: created })
    expect((await send('GET', '/sessions?userId=again-user')).body.data).toHaveLength(1)
    expect((await send('POST', `/agents/${agentId}/exec`, { lang: 'bash', code: 'echo on' })).status).toBe(200)
  })
})
