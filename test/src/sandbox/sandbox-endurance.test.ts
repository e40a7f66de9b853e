// One sandbox is used for a long time: memory, processes and descriptors do not grow in the server, the sandbox or the
// machine.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Language } from '@theazo/core'
import { expect, test } from 'vitest'
import { ApiCaller } from '../support/api-caller.ts'
import { Chance } from '../support/chance.ts'
import { heapOf } from '../support/heap-of.ts'
import { statusOf } from '../support/host-processes.ts'
import { holdingsOf, type SandboxRoles, sandboxRoles } from '../support/sandbox-processes.ts'
import { root, startServer } from '../support/server-process.ts'
import { isSoak, reportSoak } from '../support/soak.ts'

const execs = isSoak ? 10_000 : 300
/** Execs before the first measurement: afterwards caches, heap and pools have reached their usual size. */
const firstExecs = isSoak ? 1000 : 100
const atOnce = 4

type Kind = [lang: Language, code: string, more: object, status: number]
const kinds: Record<string, Kind> = {
  python: ['python', 'import json; print(json.dumps({"a": 1}))', {}, 200],
  typescript: ['typescript', 'console.log(1)', {}, 200],
  bash: ['bash', 'echo 1 > file; cat file', { stdin: 'x'.repeat(10_000), env: { A: 'b' } }, 200],
  'fails in python': ['python', 'raise ValueError("no")', {}, 200],
  'fails in typescript': ['typescript', 'throw new Error("no")', {}, 200],
  'cannot be read': ['python', 'def (', {}, 200],
  'runs over its time': ['bash', 'setsid sleep 60 & sleep 60', { timeoutMs: 30 }, 504],
  'leaves a process that ends': ['bash', 'setsid sleep 0.2 > /dev/null 2>&1 & echo on', {}, 200],
  'leaves a writer that ends': ['bash', 'setsid bash -c "sleep 0.1; echo late; seq 100000" & echo on', {}, 200],
  'kills itself': ['bash', 'kill -KILL $$', {}, 200],
  'kills its reaper': ['bash', 'kill -KILL $PPID; sleep 60', {}, 200],
  'prints much': ['python', 'print("x" * 300000)', {}, 200],
}

/** Anonymous memory of a process, in KiB. */
const memoryOf = (pid: number): number => Number(/^RssAnon:\s+(\d+) kB$/m.exec(statusOf(String(pid)))?.[1] ?? 0)

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

test.runIf(process.getuid?.() === 0)(
  `${execs} execs of all kinds in one sandbox: nothing grows`,
  { timeout: isSoak ? 7_200_000 : 240_000 },
  async () => {
    const chance = new Chance()
    console.info(`seed ${chance.seed}`) // oxlint-disable-line no-console -- it reproduces a failure
    const args = ['--inspect=127.0.0.1:0', join(root, 'packages/server/dist/bin.js'), 'serve', '--port', '0', '--json']
    await using server = await startServer(process.execPath, args)
    const pid = server.child.pid ?? 0
    const api = new ApiCaller({ baseUrl: server.url, apiKey: server.apiKey })
    const session = await api.post('/sessions', { userId: 'endurance' })
    const path = `/agents/${(await api.post(`/sessions/${session.body.id}/agents`)).body.id}/exec`
    const ask = async (lang: Language, code: string, more: object = {}) => await api.post(path, { lang, code, ...more })
    const uid = Number((await ask('bash', 'id -u')).body.stdout)

    const load = async (count: number): Promise<void> => {
      let left = count
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          for (; left > 0;) {
            left -= 1
            const names = Object.keys(kinds)
            const name = names[chance.between(0, names.length - 1)] ?? ''
            const [lang, code, more, status] = kinds[name] ?? expect.fail(name)
            const answer = await ask(lang, code, more)
            expect({ name, status: answer.status }).toEqual({ name, status })
          }
        }),
      )
    }
    /** Waits until leftover processes have ended, then measures processes, descriptors and memory. */
    const look = async () => {
      // Only the warm interpreters remain: a node, a shell and a copy of the supervisor, each below a reaper.
      await expect.poll(() => sandboxRoles(uid).reapers.length, { timeout: 15_000 }).toBeLessThanOrEqual(3)
      const roles: SandboxRoles = sandboxRoles(uid)
      const folders = (await ask('bash', 'ls /run/theazo | wc -l; ls /tmp /dev/shm | wc -l; ls -A | wc -l')).body.stdout
      const supervisor = roles.supervisor?.pid ?? expect.fail('it has broken down')
      return {
        supervisor,
        memory: {
          server: Math.round((await heapOf(server.output.err)) / 1024),
          supervisor: memoryOf(supervisor),
          reapers: Math.max(...roles.reapers.map((reaper) => memoryOf(reaper.pid))),
        },
        supervisorDescriptors: descriptorsOf(supervisor),
        counts: {
          ...holdingsOf(pid),
          descriptorsInside: (await ask('python', 'import os; print(len(os.listdir("/proc/self/fd")))')).body.stdout,
          folders,
        },
      }
    }
    await load(firstExecs)
    await ask('typescript', '1')
    const before = await look()
    await load(execs - firstExecs)
    await ask('typescript', '1')
    const after = await look()

    expect(after.supervisor).toBe(before.supervisor) // the supervisor was never replaced
    const { descriptors, ...counts } = after.counts
    const { descriptors: descriptorsBefore, ...countsBefore } = before.counts
    expect(counts).toEqual(countsBefore)
    expect(descriptors).toBeLessThanOrEqual(descriptorsBefore + atOnce) // connections of this test
    // Two for each warm interpreter. On a busy machine the last reapers are buried late.
    const most = before.supervisorDescriptors + 4
    await expect.poll(() => descriptorsOf(after.supervisor), { timeout: 15_000 }).toBeLessThanOrEqual(most)
    // Growth in bytes for each exec: a leak of one object is more than this limit.
    const bytesAnExec = (kib: number): number => (kib * 1024) / (execs - firstExecs)
    const supervisorGrowth = after.memory.supervisor - before.memory.supervisor
    if (isSoak) expect(bytesAnExec(supervisorGrowth)).toBeLessThan(64)
    expect(supervisorGrowth).toBeLessThan(2048)
    // The first reaper may have served few execs, and its successor all of them.
    expect(after.memory.reapers - before.memory.reapers).toBeLessThan(4096)
    const serverGrowth = after.memory.server - before.memory.server
    if (isSoak) expect(bytesAnExec(serverGrowth)).toBeLessThan(256)
    expect(serverGrowth).toBeLessThan(4096)
    expect(server.output.err).not.toMatch(/"level":50/)
    reportSoak('endurance', [
      ['execs in one sandbox', String(execs)],
      ['seed', String(chance.seed)],
      ['memory of the supervisor before and after, KiB', `${before.memory.supervisor}, ${after.memory.supervisor}`],
      ['memory of the largest reaper before and after, KiB', `${before.memory.reapers}, ${after.memory.reapers}`],
      ['heap of the server before and after, KiB', `${before.memory.server}, ${after.memory.server}`],
      ['descriptors of the server before and after', `${descriptorsBefore}, ${descriptors}`],
    ])
  },
)
