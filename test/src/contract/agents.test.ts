// The contract's rules for an agent's deadlines, for failed agents, and for HEAD requests.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { listenTheazo } from '@theazo/server'
import { describe, expect, test } from 'vitest'
import { ServerTestClock } from '../support/clock.ts'
import { CheckedCaller, expectError } from '../support/checked-caller.ts'
import { metricOf } from '../support/metrics.ts'

/** A server whose clock stands still, with a caller for a test key. */
async function listenWithTestClock() {
  const clock = new ServerTestClock('2025-05-01T00:00:00Z')
  const server = await listenTheazo({ port: 0, clock })
  const { key } = await server.keys.create({ mode: 'test', plan: 'enterprise' })
  const execsRunning = () => metricOf(server.url, 'theazo_execs_running')
  const streamsOpen = () => metricOf(server.url, 'theazo_streams_open')
  const caller = await CheckedCaller.to(server, key)
  return {
    clock,
    server,
    caller,
    execsRunning,
    streamsOpen,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

const pollOptions = { timeout: 20_000 }

describe('deadlines', () => {
  test('exec blocks for at most 120 seconds, also with a test key', async () => {
    await using opened = await listenWithTestClock()
    const { clock, caller, execsRunning } = opened
    const live = caller.with(opened.server.apiKey)
    const [mocked, real] = [await caller.agent(), await live.agent()]
    let answered = 0
    const running = [
      caller.exec(mocked, 'bash', '# theazo:delay=600000').finally(() => (answered += 1)),
      live.exec(real, 'bash', 'sleep 600').finally(() => (answered += 1)),
    ]
    await expect.poll(() => clock.dueIn(120_000), pollOptions).toBe(2)
    await clock.advance(119_999)
    expect([await execsRunning(), answered]).toEqual([2, 0])
    await clock.advance(1)
    for (const answer of await Promise.all(running)) expectError(answer, 504, 'timeout')
    expect((await live.exec(real, 'bash', 'echo kept')).body.stdout).toBe('kept\n')
  })

  test("an agent's timeout counts the time that its run works, without pauses", async () => {
    await using opened = await listenWithTestClock()
    const { clock, caller } = opened
    const agentId = await caller.agent({ timeout: 10 })
    const status = async () => (await caller.get(`/agents/${agentId}`)).body.task.status
    await caller.run(agentId, 'theazo:steps=2 theazo:delay=100')
    await clock.advance(9_000)
    await caller.post(`/agents/${agentId}/pause`)
    await clock.advance(3_600_000)
    await caller.post(`/agents/${agentId}/resume`)
    await clock.advance(999) // due timers fire
    await expect.poll(status, pollOptions).toBe('completed')

    await caller.run(agentId, 'theazo:steps=2 theazo:delay=1000')
    await clock.advance(9_000)
    await caller.post(`/agents/${agentId}/pause`)
    await caller.post(`/agents/${agentId}/resume`)
    await clock.advance(1_000) // ten seconds in total: a resume does not restart the timeout
    await expect.poll(status, pollOptions).toBe('failed')

    await caller.run(agentId, 'theazo:hang')
    await expect.poll(() => clock.dueIn(10_000), pollOptions).toBe(1)
    await clock.advance(9_999)
    expect(await status()).toBe('running')
    await clock.advance(1)
    await expect.poll(status, pollOptions).toBe('failed')
    const { body } = await caller.get(`/agents/${agentId}`)
    expect(body).toMatchObject({ status: 'idle', task: { error: { code: 'timeout' } } })
  })

  test('pause waits 120 seconds for a step, then is 504 and pauses nothing: the task continues', async () => {
    await using opened = await listenWithTestClock()
    const { clock, caller } = opened
    const agentId = await caller.agent()
    const taskId = await caller.run(agentId, 'theazo:delay=1500')
    const pausing = caller.post(`/agents/${agentId}/pause`)
    await expect.poll(async () => (await caller.exec(agentId, 'bash', 'true')).status, pollOptions).toBe(409)
    expectError(await caller.post(`/agents/${agentId}/pause`), 409, 'conflict')
    await expect.poll(() => clock.dueIn(120_000), pollOptions).toBe(1)
    await clock.advance(120_000)
    expectError(await pausing, 504, 'timeout')
    expect((await caller.get(`/agents/${agentId}`)).body.status).toBe('running')
    expect((await caller.exec(agentId, 'bash', 'true')).status).toBe(200)
    const status = async () => (await caller.get(`/agents/${agentId}/tasks/${taskId}`)).body.status
    await expect.poll(status, pollOptions).toBe('completed')
  })
})

describe('an agent that has failed', () => {
  test('answers 409 to every request except GET, stream and terminate, and does not count towards maxAgents', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'theazo-failed-'))
    try {
      let [agentId, sessionId] = ['', '']
      {
        await using first = await listenTheazo({ port: 0, dataDir })
        const caller = await CheckedCaller.to(first, first.apiKey)
        sessionId = await caller.session({ limits: { maxAgents: 1 } })
        agentId = await caller.agent({ name: 'main' }, sessionId)
      }
      removeFilesOf(agentId, dataDir)
      await using second = await listenTheazo({ port: 0, dataDir })
      const caller = await CheckedCaller.to(second, second.apiKey)
      const agent = (await caller.get(`/agents/${agentId}`)).body
      expect(agent).toMatchObject({ status: 'failed', reason: expect.stringContaining('gone') })
      expectError(await caller.exec(agentId, 'bash', 'true'), 409, 'conflict')
      // This check comes before the check that a live key has a model.
      expectError(await caller.post(`/agents/${agentId}/run`, { task: 'x' }), 409, 'conflict')
      for (const verb of ['pause', 'resume'])
        expectError(await caller.post(`/agents/${agentId}/${verb}`), 409, 'conflict')
      {
        await using stream = await caller.stream(agentId, { query: '?lastEventId=0' })
        const failed = await stream.until(({ data }) => data.status === 'failed')
        expect(failed.map(({ data }) => data.status)).toEqual(['idle', 'failed'])
      }
      const next = await caller.post(`/sessions/${sessionId}/agents`, { name: 'main' })
      expect([next.status, next.body.id === agentId]).toEqual([201, false]) // its name and its slot in maxAgents are free
      expect((await caller.post(`/agents/${agentId}/terminate`)).body).toEqual({ ok: true })
      expect((await caller.get(`/agents/${agentId}`)).body.status).toBe('terminated')
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })

  test('fails with the first exec after its files have been removed, also while the server runs', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'theazo-failed-'))
    try {
      await using server = await listenTheazo({ port: 0, dataDir })
      const caller = await CheckedCaller.to(server, server.apiKey)
      const agentId = await caller.agent({}, await caller.session({}))
      expect((await caller.exec(agentId, 'bash', 'true')).status).toBe(200)
      removeFilesOf(agentId, dataDir)
      expectError(await caller.exec(agentId, 'bash', 'true'), 409, 'conflict')
      expect((await caller.get(`/agents/${agentId}`)).body.status).toBe('failed')
      const pausedId = await caller.agent({}, await caller.session({}))
      expect((await caller.post(`/agents/${pausedId}/pause`)).body.status).toBe('paused')
      removeFilesOf(pausedId, dataDir)
      expectError(await caller.post(`/agents/${pausedId}/resume`), 409, 'conflict')
      expect((await caller.get(`/agents/${pausedId}`)).body.status).toBe('failed')
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  })
})

test('files that remain after a failed removal are removed within an hour; files of live agents are not', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'theazo-left-'))
  try {
    const clock = new ServerTestClock()
    await using server = await listenTheazo({ port: 0, dataDir, clock })
    const caller = await CheckedCaller.to(server, server.apiKey)
    const agentId = await caller.agent({}, await caller.session({}))
    const [folder = ''] = foldersOf(agentId, dataDir)
    const left = join(dirname(folder), 'agt_01ARZ3NDEKTSV4RRFFQ69G5FAV')
    mkdirSync(join(left, 'workspace'), { recursive: true })
    writeFileSync(join(left, 'workspace/file'), 'left')
    clock.jump(3_600_000)
    await expect.poll(() => existsSync(left)).toBe(false)
    expect((await caller.exec(agentId, 'bash', 'true')).body.exitCode).toBe(0)
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})

function removeFilesOf(agentId: string, dataDir: string): void {
  const found = foldersOf(agentId, dataDir)
  expect(found).toHaveLength(1)
  for (const path of found) {
    spawnSync('/usr/bin/umount', ['--lazy', join(path, 'disk')]) // if the agent has its own disk
    rmSync(path, { recursive: true })
  }
}

/** If the server runs as root, agents' files are not in the data folder. */
function foldersOf(agentId: string, dataDir: string): string[] {
  const roots = process.getuid?.() === 0 ? ['/var/lib/theazo/agents'] : [dataDir]
  const find = ['-ignore_readdir_race', '-type', 'd', '-name', agentId, '-prune', '-print']
  return execFileSync('find', [...roots, ...find], { encoding: 'utf8' })
    .trim()
    .split('\n')
}

describe('a HEAD request', () => {
  test('returns the headers of GET without the body', async () => {
    await using opened = await listenWithTestClock()
    const { caller } = opened
    const headers = { authorization: `Bearer ${caller.key}` }
    const response = await fetch(`${caller.url}/agents/${await caller.agent()}`, { method: 'HEAD', headers })
    expect([response.status, response.headers.has('x-request-id'), await response.text()]).toEqual([200, true, ''])
  })

  test('for a stream leaves no stream open', async () => {
    await using opened = await listenWithTestClock()
    const { caller, streamsOpen } = opened
    const agentId = await caller.agent()
    const headers = { authorization: `Bearer ${caller.key}` }
    for (const _ of [1, 2, 3]) {
      const response = await fetch(`${caller.url}/agents/${agentId}/stream`, { method: 'HEAD', headers })
      expect(response.headers.get('content-type')).toBe('text/event-stream')
    }
    await expect.poll(streamsOpen, pollOptions).toBe(0)
    await using _ = await caller.stream(agentId)
    expect(await streamsOpen()).toBe(1) // control: a GET leaves one open
  })
})
