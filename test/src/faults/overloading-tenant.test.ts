// Attacks from one tenant: its key sends costly requests without pause, while the execs of another key are measured.
// The test takes ten seconds and asserts that no exec fails; `pnpm soak faults/overloading-tenant` takes an hour and
// records times.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, Theazo } from '@theazo/core'
import { expect, test } from 'vitest'
import { Chance } from '../support/chance.ts'
import { heapOf } from '../support/heap-of.ts'
import { residentBytes } from '../support/host-processes.ts'
import type { HostileOptions } from '../../fixture/overloading-tenant.ts'
import { root, startServer } from '../support/server-process.ts'
import { isSoak, reportSoak } from '../support/soak.ts'

const hostileMs = Number(process.env['THEAZO_HOSTILE_MS'] ?? (isSoak ? 3_600_000 : 10_000))
/** Quiet and hostile times alternate, because a machine is not equally fast for an hour. */
const rounds = isSoak ? 12 : 1
const quietMs = isSoak ? 10_000 : 3_000
/** After this time, nothing that the hostile key has started runs: its longest code has a timeout of 3 s. */
const settleMs = 5_000
/** Concurrent requests of the hostile key. */
const width = 6
/** Limits for the memory of the server: its maximum during the attack, and its JavaScript heap's growth after it. */
const maxResidentBytes = 1536 * 1024 * 1024
const maxHeldBytes = 64 * 1024 * 1024

/** Runs execs until the time is over, and returns the milliseconds of each. @throws if an exec fails. */
async function measured(agent: Agent, untilMs: number): Promise<number[]> {
  const times: number[] = []
  while (performance.now() < untilMs) {
    const startedAt = performance.now()
    expect((await agent.exec('bash', 'echo mine')).stdout).toBe('mine\n')
    times.push(performance.now() - startedAt)
    await sleep(20)
  }
  return times
}

/**
 * Attacks from a separate process, so that it does not delay the measured execs. @returns the number of requests sent.
 */
async function attack(options: HostileOptions): Promise<number> {
  const program = join(root, 'test/fixture/overloading-tenant.ts')
  const child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] })
  setPriority(child.pid ?? 0, constants.priority.PRIORITY_LOW) // it stands for another machine
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  const [code] = await once(child, 'close')
  expect(code).toBe(0)
  return Number(said)
}

const percentile = (times: readonly number[], share: number): number =>
  times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0

const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`

test(
  'a hostile key does not disturb another key: no exec of that fails, and the memory of the server is bounded',
  async () => {
    const chance = new Chance()
    const bin = `${root}packages/server/dist/bin.js`
    const dataDir = mkdtempSync(join(tmpdir(), 'theazo-tenant-'))
    await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dataDir, { recursive: true }) }
    const create = [
      'keys',
      'create',
      '--live',
      '--plan',
      'enterprise',
      '--project',
      'hostile',
      '--data-dir',
      dataDir,
      '--json',
    ]
    const { apiKey: key } = JSON.parse(execFileSync(process.execPath, [bin, ...create], { encoding: 'utf8' })) as {
      apiKey: string
    }
    const args = ['--inspect=127.0.0.1:0', bin, 'serve', '--port', '0', '--data-dir', dataDir, '--json']
    await using server = await startServer(process.execPath, args)
    const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey, maxRetries: 0 })
    const agent = await (await theazo.sessions.forUser('good')).agents.create()
    await agent.exec('bash', 'true')
    const before = await heapOf(server.output.err)
    const [quiet, under]: [number[], number[]] = [[], []]
    let sent = 0
    for (let round = 0; round < rounds; round += 1) {
      quiet.push(...(await measured(agent, performance.now() + quietMs)))
      const [seed, roundMs] = [chance.seed + round, hostileMs / rounds]
      const attacking = attack({ url: server.url, apiKey: key, hostileMs: roundMs, width, seed })
      under.push(...(await measured(agent, performance.now() + roundMs)))
      sent += await attacking
      if (round < rounds - 1) await sleep(settleMs)
    }
    const most = residentBytes(server.child.pid ?? 0, 'VmHWM')
    const held = (await heapOf(server.output.err)) - before
    expect(sent).toBeGreaterThan(width)

    const [quietP99, underP99] = [percentile(quiet, 0.99), percentile(under, 0.99)]
    reportSoak('overloading-tenant', [
      ['seed', String(chance.seed)],
      ['requests of the hostile key', `${sent} in ${Math.round(hostileMs / 1000)} s`],
      ['execs of the other key', `${under.length}, none failed`],
      [
        'their p50, quiet and under attack',
        `${percentile(quiet, 0.5).toFixed(0)} and ${percentile(under, 0.5).toFixed(0)} ms`,
      ],
      [
        'their p99, quiet and under attack',
        `${quietP99.toFixed(0)} and ${underP99.toFixed(0)} ms (${(underP99 / quietP99).toFixed(1)}×)`,
      ],
      ['most memory of the server', mebibytes(most)],
      ['growth of its heap after the attack', mebibytes(held)],
    ])
    expect(under.length).toBeGreaterThan(0)
    expect(most).toBeLessThan(maxResidentBytes)
    expect(held).toBeLessThan(maxHeldBytes)
    expect((await agent.refresh()).data.status).toBe('idle')
  },
  hostileMs + rounds * (quietMs + settleMs) + 120_000,
)
