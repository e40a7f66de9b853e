// A pause freezes detached processes and does not end them. The tests observe this from the host.
import { execFileSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiCaller } from '../support/api-caller.ts'
import { Chance } from '../support/chance.ts'
import { processesOf } from '../support/host-processes.ts'
import { ServerTestClock } from '../support/clock.ts'
import { userOf } from '../support/each-server.ts'
import { root, startServer } from '../support/server-process.ts'
import { isSoak } from '../support/soak.ts'

const bin = join(root, 'packages/server/dist/bin.js')
const isRoot = process.getuid?.() === 0
const pollOptions = { timeout: 30_000 }
const rounds = isSoak ? 1000 : 50

/** One agent with a detached process that repeatedly writes the time into a file. */
class Ticking {
  readonly #api: ApiCaller
  readonly #sessionId: string
  readonly #path: string
  readonly #folders: string

  private constructor(api: ApiCaller, sessionId: string, path: string, folders: string) {
    this.#api = api
    this.#sessionId = sessionId
    this.#path = path
    this.#folders = folders
  }

  /** @param folders Glob pattern of the host folders with agents' files. */
  static async start(api: ApiCaller, folders: string, limits?: object): Promise<Ticking> {
    const session = await api.post('/sessions', { userId: 'ticking', ...(limits && { limits }) })
    const { body } = await api.post(`/sessions/${session.body.id}/agents`)
    const ticking = new Ticking(api, session.body.id, `/agents/${body.id}`, `${folders}/${body.id}`)
    await ticking.tick()
    return ticking
  }

  /** Starts the process, and waits until it writes. */
  async tick(): Promise<void> {
    const code = `rm -f tick; setsid bash -c 'while true; do date +%s%N > next; mv next tick; sleep 0.02; done' > /dev/null 2>&1 &
      until [[ -e tick ]]; do sleep 0.02; done`
    expect(await this.exec(code)).toMatchObject({ status: 200, body: { exitCode: 0 } })
    await this.expectTicks()
  }

  exec = (code: string) => this.#api.post(`${this.#path}/exec`, { lang: 'bash', code })
  post = async (what: 'pause' | 'resume' | 'terminate') => (await this.#api.post(`${this.#path}/${what}`)).status
  status = async () => (await this.#api.get(this.#path)).body.status
  limit = async (limits: object) => (await this.#api.patch(`/sessions/${this.#sessionId}`, { limits })).status
  on = (api: ApiCaller) => new Ticking(api, this.#sessionId, this.#path, this.#folders)

  /** Reads the file on the host: an exec would resume the agent. */
  #now(): string {
    const [path] = globSync([`${this.#folders}/workspace/tick`, `${this.#folders}/disk/workspace/tick`])
    return readFileSync(path ?? expect.fail(`there is no tick below ${this.#folders}`), 'utf8')
  }

  async expectTicks(): Promise<void> {
    const before = this.#now()
    await expect.poll(() => this.#now(), pollOptions).not.toBe(before)
  }

  async expectStill(): Promise<void> {
    const before = this.#now()
    await sleep(300) // fifteen ticks; there is no event to wait for if nothing happens
    expect(this.#now()).toBe(before)
  }
}

const ownFolders = (): string => {
  const base = isRoot ? '/var/lib/theazo' : join(tmpdir(), `theazo-${process.getuid?.()}`)
  return `${base}/temporary/${process.pid}-*/agents`
}

let local: LocalTheazo
let api: ApiCaller
beforeAll(async () => {
  local = await createLocalTheazo()
  api = new ApiCaller(local)
})
afterAll(() => local[Symbol.asyncDispose]())

test('a detached process stops while its agent is paused, and continues after resume', async () => {
  const agent = await Ticking.start(api, ownFolders())
  for (const _ of [1, 2]) {
    expect(await agent.post('pause')).toBe(200)
    await agent.expectStill()
    expect((await agent.exec('true')).status).toBe(409)
    await agent.expectStill()
    expect(await agent.post('resume')).toBe(200)
    await agent.expectTicks()
  }
})

test('a pause waits for running code, refuses new requests meanwhile, and then freezes the agent', async () => {
  const agent = await Ticking.start(api, ownFolders())
  const running = agent.exec('touch begun; sleep 1; echo ended')
  await agent.exec('until [[ -e begun ]]; do sleep 0.02; done')
  let isPaused = false
  const pausing = agent.post('pause').finally(() => (isPaused = true))
  expect((await agent.exec('true')).status).toBe(409)
  expect([isPaused, await agent.status()]).toEqual([false, 'idle'])
  await agent.expectTicks()
  expect((await running).body.stdout).toBe('ended\n')
  expect(await pausing).toBe(200)
  await agent.expectStill()
})

test('a reached cap freezes detached processes, and resume continues them', async () => {
  const clock = new ServerTestClock('2026-03-10T12:00:00Z')
  await using server = await createLocalTheazo({ clock })
  const agent = await Ticking.start(new ApiCaller(server), ownFolders(), { maxComputeMinutes: 1 })
  await clock.advance(61_000)
  await expect.poll(agent.status, pollOptions).toBe('paused')
  await expect
    .poll(
      () =>
        agent.expectStill().then(
          () => true,
          () => false,
        ),
      pollOptions,
    )
    .toBe(true)
  expect(await agent.post('resume')).toBe(402)
  await agent.expectStill()
  expect(await agent.limit({ maxComputeMinutes: 100 })).toBe(200)
  expect(await agent.post('resume')).toBe(200)
  await agent.expectTicks()
})

test.runIf(isRoot)('a paused agent that is terminated leaves no process', async () => {
  const agent = await Ticking.start(api, ownFolders())
  const uid = Number((await agent.exec('id -u')).body.stdout)
  expect(await agent.post('pause')).toBe(200)
  expect(processesOf(uid).length).toBeGreaterThan(3)
  expect(await agent.post('terminate')).toBe(200)
  expect(processesOf(uid)).toEqual([])
})

test('after a restart of the server a paused agent has its files, and no earlier process', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'theazo-pause-'))
  const args = [bin, 'serve', '--port', '0', '--data-dir', dataDir, '--json']
  const folders = isRoot ? '/var/lib/theazo/agents/*' : join(dataDir, 'agents')
  try {
    let agent: Ticking
    {
      await using server = await startServer(process.execPath, args)
      agent = await Ticking.start(new ApiCaller({ baseUrl: server.url, apiKey: server.apiKey }), folders)
      expect(await agent.post('pause')).toBe(200)
    }
    await using server = await startServer(process.execPath, args)
    const again = agent.on(new ApiCaller({ baseUrl: server.url, apiKey: server.apiKey }))
    expect(await again.status()).toBe('paused')
    expect(await again.post('resume')).toBe(200)
    expect((await again.exec('ls; pgrep -x bash | grep -vx $$ | wc -l')).body.stdout).toMatch(/^(next\n)?tick\n/)
    await again.expectStill()
    await again.tick()
    expect(await again.post('terminate')).toBe(200)
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})

test(
  `${rounds} pauses, resumes and execs in random order: each is answered according to the state of the agent`,
  { timeout: rounds * 1000 },
  async () => {
    const chance = new Chance()
    console.info(`seed ${chance.seed}`) // oxlint-disable-line no-console -- it reproduces a failure
    const agent = await Ticking.start(api, ownFolders())
    let isPaused = false
    for (let round = 0; round < rounds; round += 1) {
      const what = (['pause', 'resume', 'exec'] as const)[chance.between(0, 2)]
      const status = what === 'exec' ? (await agent.exec('echo on')).status : await agent.post(what ?? 'pause')
      expect({ what, status }).toEqual({ what, status: (what === 'resume') === isPaused ? 200 : 409 })
      if (status === 200 && what !== 'exec') isPaused = what === 'pause'
      if (chance.percent(10)) await (isPaused ? agent.expectStill() : agent.expectTicks())
    }
    // All concurrently: in any order, after one more resume the process writes again.
    const many = Array.from({ length: 20 }, () => agent.post(chance.percent(50) ? 'pause' : 'resume'))
    const execs = Array.from({ length: 20 }, async () => (await agent.exec('echo on')).status)
    for (const status of await Promise.all([...many, ...execs])) expect([200, 409]).toContain(status)
    await agent.post('resume')
    expect(await agent.status()).toBe('idle')
    await agent.expectTicks()
  },
)

describe('a server of a plain user, which has no freezer control group', () => {
  test('stops detached processes with signals, continues them, and ends them with the agent', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'theazo-plain-'))
    const { uid, prefix, node, packages } = userOf(false, folder)
    const serve = [join(packages, 'server/dist/bin.js'), 'serve', '--port', '0', '--json']
    const [program = '', ...args] = [...prefix, node, ...serve]
    try {
      {
        await using server = await startServer(program, args, { HOME: folder, TMPDIR: folder })
        const agent = await Ticking.start(
          new ApiCaller({ baseUrl: server.url, apiKey: server.apiKey }),
          `${folder}/theazo-${uid}/temporary/${server.child.pid}-*/agents`,
        )
        for (const _ of [1, 2]) {
          expect(await agent.post('pause')).toBe(200)
          await agent.expectStill()
          expect(await agent.post('resume')).toBe(200)
          await agent.expectTicks()
        }
        expect(await agent.post('pause')).toBe(200)
        expect(await agent.post('terminate')).toBe(200)
        const date = execFileSync('bash', ['-c', `pgrep -u ${uid} -fc "date .%s%N > next" || true`], {
          encoding: 'utf8',
        })
        expect(date).toBe('0\n')
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
