// One key sends what is dear to answer, without pause, while another key's execs are measured. In the suite a share of ten
// seconds, which asserts that nothing fails; `pnpm soak hostile-tenant` runs an hour, and writes the times down.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, Theazo } from '@theazo/core'
import { expect, test } from 'vitest'
import { Chance } from './chance.ts'
import { heapOf } from './heap-of.ts'
import { root, type ServerProcess, startServer } from './server-process.ts'
import { reportSoak } from './soak-report.ts'

const isSoak = process.env['THEAZO_SOAK'] === '1'
const hostileMs = Number(process.env['THEAZO_HOSTILE_MS'] ?? (isSoak ? 3_600_000 : 10_000))
const quietMs = Math.min(hostileMs, isSoak ? 120_000 : 3_000)
/** Requests of the hostile key that are under way at a time. */
const width = 6
/** Bytes that JavaScript of the server may hold more than before, while it is attacked. */
const maxHeldBytes = 700 * 1024 * 1024

interface Tenant {
  theazo: Theazo
  apiKey: string
  agent: Agent
}

async function tenant(server: ServerProcess, apiKey: string, name: string): Promise<Tenant> {
  const theazo = new Theazo({ baseUrl: server.url, apiKey, maxRetries: 0 })
  const agent = await (await theazo.sessions.forUser(name)).agents.create()
  await agent.exec('bash', 'true')
  return { theazo, apiKey, agent }
}

/** Milliseconds of each exec until the time is over; what fails is thrown. */
async function measured({ agent }: Tenant, untilMs: number): Promise<number[]> {
  const times: number[] = []
  while (performance.now() < untilMs) {
    const startedAt = performance.now()
    expect((await agent.exec('bash', 'echo mine')).stdout).toBe('mine\n')
    times.push(performance.now() - startedAt)
    await sleep(20)
  }
  return times
}

const zeros = (count: number): string => `[${'0,'.repeat(count - 1)}0]`

/** One thing that a hostile key does; whatever the server answers, the attack goes on. */
function attacks(server: ServerProcess, { theazo, apiKey, agent }: Tenant, chance: Chance): (() => Promise<unknown>)[] {
  const post = (path: string, body: string | Uint8Array<ArrayBuffer> | undefined) =>
    fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}` },
      body: body ?? '',
    }).then((response) => response.arrayBuffer())
  const { hostname, port } = new URL(server.url)
  const silent = async (text: string): Promise<void> => {
    const socket: Socket = connect({ host: hostname, port: Number(port) })
    socket.on('error', () => {}).pause()
    socket.write(text)
    await sleep(chance.between(100, 3_000))
    socket.destroy()
  }
  const head = `host: ${hostname}\r\nauthorization: Bearer ${apiKey}\r\n`
  // Made once: the two keys share this process, and its time is not the server's.
  const [tools, env, deep] = [`{"tools":${zeros(400_000)}}`, zeros(4_000_000), '['.repeat(1_000_000)].map((text) =>
    Buffer.from(text),
  )
  const exec = JSON.stringify({ lang: 'bash', code: 'head -c 10000000 /dev/zero; yes | head -c 10000000 >&2' })
  return [
    () => post(`/sessions/${agent.data.sessionId}/agents`, tools),
    () => post(`/agents/${agent.id}/exec`, env),
    () => post('/sessions', `{"userId":"a","metadata":{"a":"${'x'.repeat(60_000)}"}}`),
    () => post('/sessions', deep),
    () => theazo.sessions.list({ limit: 100 }).page(),
    () => agent.exec('bash', 'head -c 10000000 /dev/zero'),
    () => agent.exec('python', 'for i in range(100000): print(i, flush=True)', { onStdout: () => {} }),
    () => agent.exec('bash', ':(){ :|:& };:', { timeoutMs: 3_000 }),
    () => silent(`POST /v1/agents/${agent.id}/exec HTTP/1.1\r\n${head}content-length: ${exec.length}\r\n\r\n${exec}`),
    () => silent(`GET /v1/agents/${agent.id}/stream?lastEventId=0 HTTP/1.1\r\n${head}\r\n`),
    () => silent(`POST /v1/sessions HTTP/1.1\r\n${head}content-length: 1000000\r\n\r\n{"userId":"`),
    () => silent(''),
  ]
}

const percentile = (times: readonly number[], share: number): number =>
  times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0

test(
  'a hostile key does not stop another one: no exec of it fails, and the memory of the server is bounded',
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
    const good = await tenant(server, server.apiKey, 'good')
    const hostile = await tenant(server, key, 'hostile')
    const quiet = await measured(good, performance.now() + quietMs)
    const before = await heapOf(server.output.err)

    const until = performance.now() + hostileMs
    const all = attacks(server, hostile, chance)
    let sent = 0
    const attacking = Array.from({ length: width }, async () => {
      while (performance.now() < until) {
        await all[chance.between(0, all.length - 1)]?.().catch(() => {})
        sent += 1
      }
    })
    let largest = 0
    const watching = (async () => {
      while (performance.now() < until) {
        largest = Math.max(largest, (await heapOf(server.output.err)) - before)
        await sleep(5_000)
      }
    })()
    const under = await measured(good, until)
    await Promise.all([...attacking, watching])

    const [quietP99, underP99] = [percentile(quiet, 0.99), percentile(under, 0.99)]
    reportSoak('hostile-tenant', [
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
      ['most memory held beyond the start', `${(largest / 1024 / 1024).toFixed(0)} MiB`],
    ])
    expect(under.length).toBeGreaterThan(0)
    expect(largest).toBeLessThan(maxHeldBytes)
    expect((await good.agent.refresh()).data.status).toBe('idle')
  },
  hostileMs + quietMs + 120_000,
)
