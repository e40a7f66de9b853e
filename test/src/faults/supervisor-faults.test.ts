// Parts of a running sandbox are killed, stopped or send false frames at random: each exec is answered, and nothing
// remains.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalTheazo } from '@theazo/server'
import { expect, test } from 'vitest'
import { ApiCaller } from '../support/api-caller.ts'
import { Chance } from '../support/chance.ts'
import { ExecStreamClient } from '../sandbox/exec-stream-client.ts'
import { FaultedAgent, faultNames } from './faulted-agent.ts'
import { holdingsOf, sandboxRoles, signal } from '../support/sandbox-processes.ts'
import { root, startServer } from '../support/server-process.ts'
import { isSoak, reportSoak } from '../support/soak.ts'

const execs = isSoak ? 1000 : 60
const agents = 6

test.runIf(process.getuid?.() === 0)(
  `${execs} execs while supervisors are killed, stopped or send false frames: each is answered, and nothing remains`,
  { timeout: isSoak ? 3_600_000 : 240_000 },
  async () => {
    const chance = new Chance()
    console.info(`seed ${chance.seed}`) // oxlint-disable-line no-console -- it reproduces a failure
    const folder = lyingBubblewrap()
    // The test counts open connections as well, so idle ones must end soon.
    const args = [
      join(root, 'packages/server/dist/bin.js'),
      'serve',
      '--port',
      '0',
      '--keep-alive-seconds',
      '5',
      '--json',
    ]
    const server = await startServer(process.execPath, args, { PATH: `${folder}:${process.env['PATH']}` })
    const counts = new Map<string, number>()
    const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1)
    try {
      const { pid = 0 } = server.child
      // Uses everything once, so that resources which the first use opens permanently are not counted as leaks.
      const first = await FaultedAgent.create(server, folder)
      for (const lang of ['python', 'typescript', 'bash'] as const) await first.exec(lang, chance)
      await first.terminate()
      await settled(pid)
      const before = holdingsOf(pid)

      let left = execs
      const uids: number[] = []
      const workers = Array.from({ length: agents }, async (_, number) => {
        const own = new Chance(chance.seed + number + 1)
        const agent = await FaultedAgent.create(server, folder)
        uids.push(agent.uid)
        while (left > 0) {
          left -= 1
          const fault = own.percent(50) ? faultNames[own.between(0, faultNames.length - 1)] : undefined
          const { outcome, tries } = await agent.faultedExec(fault, own)
          count(`${fault ?? 'no fault'}: ${outcome}`)
          if (fault === undefined) expect(outcome).toBe('ok')
          expect(tries, `execs that failed after ${fault}, until one ran`).toBeLessThanOrEqual(1)
        }
        await agent.terminate()
      })
      const failures = (await Promise.allSettled(workers)).filter(({ status }) => status === 'rejected')
      expect(failures).toEqual([])
      for (const uid of uids) expect(FaultedAgent.processesOf(uid)).toEqual([])
      await settled(pid)
      const after = holdingsOf(pid)
      expect([after.groups.length, after.scratch]).toEqual([before.groups.length, before.scratch])
      // Connections of this test stay open for a while.
      await expect
        .poll(() => holdingsOf(pid).descriptors, { timeout: 30_000 })
        .toBeLessThanOrEqual(before.descriptors + 2)
      // The server logs a failed sandbox as an error; any other error is a bug.
      const faults = server.output.err.split('\n').filter((line) => line.includes('"level":50'))
      expect(faults.filter((line) => !line.includes('"a sandbox failed"'))).toEqual([])
    } finally {
      server.child.kill('SIGTERM')
      expect(await server.ended).toBe(0)
      rmSync(folder, { recursive: true })
    }
    const rows = [...counts].toSorted().map(([what, times]): [string, string] => [what, String(times)])
    reportSoak('supervisor', [['execs', String(execs)], ['seed', String(chance.seed)], ...rows])
  },
)

/** Waits until the sandbox pool is full again and aborted connections are closed. */
async function settled(pid: number): Promise<void> {
  const look = (): string => JSON.stringify(holdingsOf(pid))
  await expect
    .poll(
      async () => {
        const one = look()
        await sleep(300)
        return one === look()
      },
      { timeout: 30_000 },
    )
    .toBe(true)
}

/**
 * Makes a folder with a wrapper around bubblewrap, for the front of PATH. All users may write there: files control the
 * wrapper.
 */
function lyingBubblewrap(): string {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-lying-'))
  chmodSync(folder, 0o777)
  const real = execFileSync('bash', ['-c', 'type -P bwrap'], { encoding: 'utf8' }).trim()
  const script = readFileSync(join(root, 'test/fixture/lying-bwrap.py'), 'utf8').replace("'REAL'", JSON.stringify(real))
  writeFileSync(join(folder, 'bwrap'), script)
  chmodSync(join(folder, 'bwrap'), 0o755)
  return folder
}

test.runIf(process.getuid?.() === 0)(
  'code for a killed or stopped warm interpreter runs, or fails with an error that it never started',
  async () => {
    await using local = await createLocalTheazo()
    const api = new ApiCaller(local)
    const session = await api.post('/sessions', { userId: 'waiting' })
    const path = `/agents/${(await api.post(`/sessions/${session.body.id}/agents`)).body.id}/exec`
    const exec = (lang: string, code: string) => api.post(path, { lang, code, timeoutMs: 20_000 })
    const uid = Number((await exec('bash', 'id -u')).body.stdout)
    const codes = { python: 'print("on")', bash: 'echo on', typescript: 'console.log("on")' }
    const check = async (lang: string, code: string) => {
      const { status, body } = await exec(lang, code)
      if (status === 502) expect(body.error.message).toContain('could not start the code')
      else expect({ lang, status, ...body }).toMatchObject({ status: 200, stdout: 'on\n', exitCode: 0 })
    }
    for (let round = 0; round < 5; round += 1) {
      for (const [lang, code] of Object.entries(codes)) {
        await check('typescript', codes.typescript)
        // The warm interpreters are children of reapers.
        const waiting = () => {
          const { all, reapers } = sandboxRoles(uid)
          return all.filter(({ parent }) => reapers.some(({ pid }) => pid === parent))
        }
        await expect.poll(() => waiting().length, { timeout: 20_000 }).toBeGreaterThan(0)
        for (const process_ of waiting()) signal(process_, round % 2 ? 'SIGKILL' : 'SIGSTOP')
        await check(lang, code)
      }
    }
  },
)

test.runIf(process.getuid?.() === 0)(
  'if the launcher ends, each exec fails, nothing remains, and the next exec has a new sandbox',
  async () => {
    const args = [join(root, 'packages/server/dist/bin.js'), 'serve', '--port', '0', '--json']
    await using server = await startServer(process.execPath, args)
    const agents = await Promise.all(
      ['one', 'two', 'three'].map(async (userId) => {
        const api = new ApiCaller({ baseUrl: server.url, apiKey: server.apiKey })
        const session = await api.post('/sessions', { userId })
        const path = `/agents/${(await api.post(`/sessions/${session.body.id}/agents`)).body.id}/exec`
        const exec = (code: string) => api.post(path, { lang: 'bash', code })
        return { exec, uid: Number((await exec('id -u')).body.stdout) }
      }),
    )
    for (let round = 0; round < 3; round += 1) {
      const cut = agents.map(({ exec }) => exec(`touch ${round}; setsid sleep 60 & sleep 60`))
      await Promise.all(agents.map(({ exec }) => exec(`until [[ -e ${round} ]]; do sleep 0.02; done`)))
      const processes = (): number[] => agents.flatMap(({ uid }) => sandboxRoles(uid).all.map(({ pid }) => pid))
      // The file is there before both sleeps have started.
      await expect.poll(() => processes().length, { timeout: 20_000 }).toBeGreaterThan(20)
      const before = processes()
      const { parent } = sandboxRoles(agents[0]?.uid ?? 0).bubblewrap ?? expect.fail('bubblewrap is not running')
      expect(readFileSync(`/proc/${parent}/cmdline`, 'utf8')).toContain('launcher.py')
      expect(signal({ pid: parent }, 'SIGKILL')).toBe(true)
      for (const { status, body } of await Promise.all(cut)) {
        expect([status, body.error.code]).toEqual([502, 'provider_error'])
      }
      const answers = await Promise.all(agents.map(({ exec }) => exec('ls')))
      for (const { body } of answers) expect(body.stdout).toContain(`${round}\n`)
      const after = new Set(processes())
      expect(before.filter((pid) => after.has(pid))).toEqual([])
    }
  },
)

test('code that interrupts all processes and pid 1 ends only itself, and does not run again for the same idempotency key', async () => {
  await using local = await createLocalTheazo()
  const own = await ExecStreamClient.open(local)
  const key = { 'idempotency-key': 'interrupts', accept: 'application/json' }
  const code = 'echo x >> runs; kill -INT 1; kill -INT -1; kill -INT $$; sleep 60'
  for (const _ of [1, 2]) {
    const answer = await own.post(code, key)
    expect([answer.status, (await answer.json()).exitCode]).toEqual([200, 130])
  }
  expect(await own.runs()).toBe(1)
})

test('code that uses all processes of its sandbox does not end the sandbox', async () => {
  await using local = await createLocalTheazo({ sandbox: { maxProcesses: 64 } })
  const own = await ExecStreamClient.open(local)
  await own.exec('echo kept > /tmp/kept') // /tmp is in memory, so the file is lost if the sandbox ends
  const code = 'for i in $(seq 100); do setsid sleep 3 & done'
  const filled = await own.post(code, { accept: 'application/json' })
  const { stderr } = await filled.json()
  expect([filled.status, stderr]).toEqual([200, expect.stringContaining('Resource temporarily unavailable')])
  const look = async () => (await own.post('cat /tmp/kept', { accept: 'application/json' })).json()
  await expect.poll(look, { timeout: 30_000 }).toMatchObject({ stdout: 'kept\n', exitCode: 0 })
})
