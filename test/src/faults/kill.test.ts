// The server is killed at random times under load: all acknowledged data is there after the restart.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Chance } from '../support/chance.ts'
import { processesOf } from '../support/host-processes.ts'
import { checkAfterRestart, checkAtTheEnd } from './kill-checks.ts'
import { CutError, KillLedger, KillApi, type Mode } from './kill-ledger.ts'
import { counterOwner, expectStatus, killClients } from './kill-load.ts'
import { root, type ServerProcess, startServer } from '../support/server-process.ts'
import { isSoak, reportSoak } from '../support/soak.ts'

const kills = isSoak ? 100 : 8
/** Some kills come later than a heartbeat of the metering: usage before the heartbeat must not be lost. */
const longLifeEvery = isSoak ? 20 : 6
const longLifeMs = 7000
const heartbeatMs = 5000
/** Tolerated delay on a busy machine. */
const slackMs = 3000

const bin = join(root, 'packages/server/dist/bin.js')

/** The server between two kills. Times are those of this process. */
interface Life {
  server: ServerProcess
  api: KillApi
  spawnedAt: number
  readyAt: number
}

test(
  `SIGKILL under load, ${kills} times: nothing that was acknowledged is lost, and nothing is done twice`,
  { timeout: isSoak ? 1_800_000 : 300_000 },
  async () => {
    const chance = new Chance()
    console.info(`seed ${chance.seed}`) // oxlint-disable-line no-console -- it reproduces a failure
    const dataDir = mkdtempSync(join(tmpdir(), 'theazo-kill-'))
    const ledger = new KillLedger()
    const keys = { live: '', test: '' }
    const used = new Used()
    const startsMs: number[] = []
    let [cutLives, cutRequests, answered] = [0, 0, 0]
    let life: Life | undefined
    try {
      for (let kill = 0; kill < kills; kill += 1) {
        life = await begin(dataDir, ledger, keys)
        startsMs.push(life.readyAt - life.spawnedAt)
        if (kill === 0) await makeTestKey(dataDir, keys)
        await used.check(life)
        await checkAfterRestart(life.api)
        forget(ledger)

        const isLong = kill % longLifeEvery === longLifeEvery - 1
        await loadAndKill(life, chance, isLong ? longLifeMs : chance.between(20, 1500))
        used.ended(life)
        cutLives += ledger.cut.length > 0 ? 1 : 0
        cutRequests += ledger.cut.length
        answered += ledger.answered.length
      }
      life = await begin(dataDir, ledger, keys)
      startsMs.push(life.readyAt - life.spawnedAt)
      await used.check(life)
      await checkAfterRestart(life.api)
      await checkAtTheEnd(life.api)
      for (const { id, mode, stage } of ledger.agents.values()) {
        if (stage !== 'terminated') await life.api.send(mode, 'POST', `/agents/${id}/terminate`)
      }
      life.server.child.kill('SIGTERM')
      expect(await life.server.ended).toBe(0)
    } finally {
      life?.server.child.kill('SIGKILL')
      await life?.server.ended
      rmSync(dataDir, { recursive: true })
    }
    const starts = startsMs.toSorted((a, b) => a - b)
    const at = (share: number): string => `${Math.round(starts[Math.ceil(starts.length * share) - 1] ?? 0)} ms`
    const tasks = [...ledger.agents.values()].reduce((sum, agent) => sum + agent.tasks.size, 0)
    const events = [...ledger.agents.values()].reduce((sum, agent) => sum + agent.events.size, 0)
    reportSoak('kill', [
      ['kills', String(kills)],
      ['seed', String(chance.seed)],
      ['kills that cut a request', `${cutLives} (${cutRequests} requests in all)`],
      ['requests that were answered', String(answered)],
      [
        'sessions, agents, tasks, events that were acknowledged',
        [ledger.sessions.size, ledger.agents.size, tasks, events].join(', '),
      ],
      ['lost, doubled or half made', '0'],
      ['from spawn to ready, p50, p95, longest', `${at(0.5)}, ${at(0.95)}, ${at(1)}`],
      ['most compute time lost by a kill', `${Math.round(used.mostLostMs)} ms`],
    ])
    expect(cutLives).toBeGreaterThanOrEqual(Math.floor(kills * 0.9))
    expect(Math.max(...startsMs)).toBeLessThan(20_000)
  },
)

test.runIf(process.getuid?.() === 0)(
  'a server starts in a data folder whose first start was killed before it wrote the instance id',
  async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'theazo-kill-'))
    writeFileSync(join(dataDir, 'instance-id'), '')
    const args = [bin, 'serve', '--port', '0', '--data-dir', dataDir, '--json']
    {
      await using server = await startServer(process.execPath, args)
      expect((await fetch(new URL('/readyz', server.url))).status).toBe(200)
    }
    expect(readFileSync(join(dataDir, 'instance-id'), 'utf8')).toMatch(/^[0-9a-f]{16}\n$/)
    rmSync(dataDir, { recursive: true })
  },
)

async function begin(dataDir: string, ledger: KillLedger, keys: Record<Mode, string>): Promise<Life> {
  const spawnedAt = performance.now()
  const server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--data-dir', dataDir, '--json'])
  const readyAt = performance.now()
  keys.live = server.apiKey
  return { server, api: new KillApi(server.url, keys, ledger), spawnedAt, readyAt }
}

async function makeTestKey(dataDir: string, keys: Record<Mode, string>): Promise<void> {
  const args = ['keys', 'create', '--data-dir', dataDir, '--test', '--plan', 'team', '--rpm', '1000000', '--json']
  keys.test = JSON.parse(execFileSync(process.execPath, [bin, ...args], { encoding: 'utf8' })).apiKey
}

/** Runs all clients until the server is killed. Each starts again after the restart. */
async function loadAndKill({ server, api }: Life, chance: Chance, afterMs: number): Promise<void> {
  const failures: unknown[] = []
  const clients = Object.values(killClients).map(async (client) => {
    await client(api, new Chance(chance.between(0, 2 ** 30))).catch((error: unknown) => {
      if (!(error instanceof CutError)) failures.push(error)
    })
  })
  await sleep(afterMs)
  server.child.kill('SIGKILL')
  await server.ended
  await Promise.all([...clients, ...api.streams])
  expect(failures).toEqual([])
  expect(server.output.err).not.toMatch(/"level":50/)
  if (process.getuid?.() !== 0) return // a plain user's sandboxes have the uid of this test
  for (const { uid, id } of api.ledger.agents.values()) {
    if (uid !== undefined && api.ledger.used.has(id)) {
      await expect.poll(() => processesOf(uid), { timeout: 10_000 }).toEqual([])
    }
  }
}

/** Clears the records of the server's run before the restart. */
function forget(ledger: KillLedger): void {
  ledger.cut = []
  ledger.answered = []
  ledger.used.clear()
}

/** Compute time of the agent that lives until the end, in milliseconds. */
class Used {
  /** The largest loss by one kill. */
  mostLostMs = 0
  /** Upper limit: the time during which the server ran. */
  #mostMs = 0
  /** Expected time if the kill loses nothing. */
  #dueMs = 0
  #reported = { ms: 0, at: 0 }

  /** Call after each kill. */
  ended({ api, spawnedAt }: Life): void {
    if (api.ledger.agentsOf(counterOwner).length === 0) return
    const now = performance.now()
    this.#mostMs += now - spawnedAt
    this.#dueMs = this.#reported.at === 0 ? 0 : this.#reported.ms + now - this.#reported.at
  }

  /** Call after each restart: checks that only the time since the last heartbeat is lost. */
  async check({ api, spawnedAt, readyAt }: Life): Promise<void> {
    const agent = api.ledger.agentsOf(counterOwner)[0]
    if (!agent) return
    const path = `/usage/summary?from=2020-01-01&until=2100-01-01&sessionId=${agent.sessionId}`
    const ask = async () => expectStatus(await api.get('live', path), 200).body.compute.minutes * 60_000
    const ms = await ask()
    expect(ms).toBeLessThanOrEqual(this.#mostMs + performance.now() - spawnedAt)
    const lostMs = Math.max(0, this.#dueMs + performance.now() - readyAt - ms)
    this.mostLostMs = Math.max(this.mostLostMs, lostMs)
    expect(lostMs).toBeLessThan(heartbeatMs + slackMs)
    const at = performance.now()
    this.#reported = { ms: await ask(), at }
    expect(this.#reported.ms).toBeGreaterThanOrEqual(ms)
  }
}
