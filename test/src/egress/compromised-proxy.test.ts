// The egress proxy is replaced by programs that act as if an attacker controlled its process. The server must stay
// unharmed.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '@theazo/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { residentBytes } from '../support/host-processes.ts'
import { outputOf } from '../support/each-server.ts'
import { isSoak } from '../support/soak.ts'
import { proxyPidOf } from './proxy-pids.ts'
import {
  canCreateTestInternet,
  createTestInternet,
  type TestInternet,
  type TestInternetServer,
} from './test-internet.ts'

let internet: TestInternet
/** Path of the proxy program in the server copy that a plain user runs. */
let programPath: string
let program: string
beforeAll(async () => {
  if (!canCreateTestInternet) return
  internet = await createTestInternet()
  await (await internet.startServer(false))[Symbol.asyncDispose]() // the first start makes the copy
  programPath = join(internet.folder, 'plain/copy/server/dist/compute/local/egress/proxy-program.js')
  program = readFileSync(programPath, 'utf8')
})
afterAll(async () => await internet?.[Symbol.asyncDispose]())

const preamble = `
const record = { outcome: 'passed', bytesUp: 1, bytesDown: 1, durationMs: 1 }
const write = (text) => process.stdout.write(text)
const answer = (message) => write(JSON.stringify(message) + String.fromCharCode(10))
const ended = (changes) => answer({ kind: 'ended', number: 1, record: { ...record, ...changes } })
process.stdin.resume().on('end', () => process.exit())
answer({ kind: 'ready' })
`
const programs: [does: string, code: string][] = [
  ['sends invalid JSON', 'setInterval(() => write("nonsense" + String.fromCharCode(10)), 1)'],
  ['sends an endless line', 'setInterval(() => write("x".repeat(65536)), 1)'],
  ['reports 2^80 bytes', 'ended({ bytesDown: 2 ** 80 })'],
  ['sends endless connection records', 'setInterval(() => { for (let i = 0; i < 5000; i += 1) ended({}) }, 10)'],
  ['writes endlessly to stderr', 'setInterval(() => process.stderr.write("x".repeat(65536)), 1)'],
]

/** Only `pnpm soak` runs all of them, and longer: each takes seconds. */
const tried = programs.filter((_, index) => isSoak || index % 3 === 0)
const watchedMs = isSoak ? 5_000 : 1_000

describe.runIf(canCreateTestInternet)('an egress proxy', () => {
  test.each(tried)('that %s leaves the server and other agents unharmed', async (_does, code) => {
    await withProgram(preamble + code, async ({ server, agent, bystander }) => {
      const pid = `${server.process.child.pid}`
      const before = residentBytes(pid)
      const refused = outputOf(agent, 'bash', 'curl -sS -m 20 -o /dev/null -w "%{http_code}" http://one.example.org/')
      const until = performance.now() + watchedMs
      while (performance.now() < until) {
        expect((await fetch(server.url.replace('/v1', '/healthz'))).status).toBe(200)
        await sleep(100)
      }
      expect(await outputOf(bystander, 'bash', 'echo alive')).toBe('alive')
      expect(await refused).toContain('503')
      expect(residentBytes(pid) - before).toBeLessThan(100 * 2 ** 20)
      expect((await fetch(server.url.replace('/v1', '/metrics'))).status).toBe(200)
      const lines = server.process.output.err.split('\n')
      expect(lines.filter((line) => line.includes('"egress"')).length).toBeLessThan(1_000) // 200 in 10 s
    })
  })

  test('that exits immediately is restarted with growing delays, and works again after a repair', async () => {
    await withProgram('process.exit(3)', async ({ server, agent, bystander }) => {
      const starts = (): number =>
        server.process.output.err.split('the process of the egress proxy has ended').length - 1
      expect(await outputOf(agent, 'bash', 'curl -sS -m 20 http://one.example.org/')).toBe(
        'theazo: the egress proxy is not running: try again in a moment',
      )
      expect(starts()).toBeGreaterThan(3)
      expect(starts()).toBeLessThan(10)
      expect(await outputOf(bystander, 'bash', 'echo alive')).toBe('alive')
      writeFileSync(programPath, program)
      await expect
        .poll(async () => await outputOf(agent, 'bash', 'curl -sS -m 20 http://one.example.org/'), { timeout: 50_000 })
        .toContain('hello one.example.org')
    })
  })

  test('that replaces its socket by a link to another socket receives no bytes of the agent there', async () => {
    const code = `
import { symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
const report = (reason) => answer({ kind: 'failed', number: 1, reason })
const other = createServer((socket) => {
  report('connected')
  socket.on('data', () => report('received')).on('error', () => {})
})
other.listen('./other', () => {
  symlinkSync('other', './1')
  answer({ kind: 'opened', number: 1 })
})`
    await withProgram(preamble + code, async ({ server, agent }) => {
      expect(await outputOf(agent, 'bash', 'curl -sS -m 20 http://one.example.org/')).toContain('is not running')
      expect(server.process.output.err).toContain('"reason":"connected"')
      expect(server.process.output.err).not.toContain('"reason":"received"')
    })
  })

  test('that hangs ends with the server, even if the server is killed', async () => {
    await withProgram(`${program}\nsetTimeout(() => { for (;;); }, 2_000)`, async ({ server }) => {
      const pid = proxyPidOf(server.process.child.pid)
      const ticks = (): number => Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[11])
      await expect.poll(ticks).toBeGreaterThan(150) // the proxy hangs
      server.process.child.kill('SIGKILL')
      await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 5_000 }).toBe(false)
    })
  })

  test('that is unchanged works in the same place', async () => {
    await withProgram(program, async ({ agent }) => {
      expect(await outputOf(agent, 'bash', 'curl -sS http://one.example.org/')).toContain('hello one.example.org')
    })
  })
})

interface Parts {
  server: TestInternetServer
  agent: Agent
  bystander: Agent
}

async function withProgram(code: string, use: (parts: Parts) => Promise<void>): Promise<void> {
  writeFileSync(programPath, code)
  try {
    await using server = await internet.startServer(false)
    const [agent, bystander] = [await server.newAgent(['one.example.org']), await server.newAgent()]
    await use({ server, agent, bystander })
  } finally {
    writeFileSync(programPath, program)
  }
}
