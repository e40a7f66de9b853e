// The server is killed during execs and during the start of sandboxes.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { expect, test } from 'vitest'
import { processesOf, statusOf } from '../support/host-processes.ts'
import { root, startServer } from '../support/server-process.ts'
import { endSandbox, firstProcessesOf, slowBubblewrap } from '../support/slow-bubblewrap.ts'

const bin = join(root, 'packages/server/dist/bin.js')

// Needs root: a plain user's sandboxes have the uid of this test, so their processes cannot be identified by uid.
test.runIf(process.getuid?.() === 0)(
  'SIGKILL of the server during execs leaves no process of a sandbox',
  async () => {
    const killed: (number | undefined)[] = []
    for (let round = 0; round < 5; round += 1) {
      const server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--json'])
      killed.push(server.child.pid)
      const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
      const session = await theazo.sessions.forUser('crash')
      const agent = await session.agents.create()
      const uid = Number((await agent.exec('bash', 'id -u')).stdout)
      const code = {
        bash: 'touch a; setsid bash -c "sleep 300 & sleep 300" & sleep 300',
        python: 'import os, time\nopen("b", "w")\nif os.fork() == 0: os.setsid()\ntime.sleep(300)',
        typescript: 'import fs from "node:fs"; fs.writeFileSync("c", ""); setInterval(() => {}, 1000)',
      } as const
      const running = Object.entries(code).map(([lang, text]) =>
        agent.exec(lang as keyof typeof code, text).catch((error: unknown) => error),
      )
      await agent.exec('bash', 'until [[ -e a && -e b && -e c ]]; do sleep 0.02; done')
      expect(processesOf(uid).length).toBeGreaterThan(10) // the control: the processes exist, and this test sees them

      server.child.kill('SIGKILL')
      await server.ended
      for (const error of await Promise.all(running)) expect(error).toMatchObject({ name: 'ConnectionError' })
      await expect.poll(() => processesOf(uid), { timeout: 10_000 }).toEqual([])
    }
    // Mounts outlive a killed server; the next server unmounts them.
    await using _next = await createLocalTheazo()
    const mounts = execFileSync('cat', ['/proc/mounts'], { encoding: 'utf8' })
    for (const pid of killed) expect(mounts).not.toContain(`/temporary/${pid}-`)
  },
  120_000, // five servers, one after another
)

test.runIf(process.getuid?.() === 0)(
  'an exec leaves only the own processes of its sandbox, and a sandbox leaves no zombie for init',
  async () => {
    await using local = await createLocalTheazo({ execTimeoutMs: 3000 })
    const session = await new Theazo(local).sessions.forUser('zombies')
    await using agent = await session.agents.create()
    const uid = Number((await agent.exec('bash', 'id -u')).stdout)
    const names = (): string[] => processesOf(uid, true).map((pid) => /^Name:\t(.*)$/m.exec(statusOf(pid))?.[1] ?? '')
    // Bubblewrap, the supervisor, and the warm interpreters: a shell and a Python, each below a reaper.
    const own = ['bwrap', 'theazo-init', 'theazo-reaper', 'theazo-reaper', 'theazo-waiting', 'theazo-waiting']
    for (const code of ['true', 'sleep 100 & sleep 100 & true', 'kill -9 $$', 'setsid sleep 100 & sleep 100']) {
      await agent.exec('bash', code).catch((error: unknown) => error) // the last exec reaches its deadline
      await expect.poll(() => names().toSorted()).toEqual(own)
    }
    await agent.terminate()
    expect(names()).toEqual([])
  },
)

test.runIf(process.getuid?.() === 0)(
  'an exec that is aborted during the start of its sandbox ends, and terminate leaves no process',
  async () => {
    using bubblewrap = slowBubblewrap()
    await using server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--pool', '0', '--json'], {
      PATH: bubblewrap.searchPath,
    })
    const session = await new Theazo({ baseUrl: server.url, apiKey: server.apiKey }).sessions.forUser('abort')
    const agent = await session.agents.create()
    const uid = Number((await agent.exec('bash', 'id -u')).stdout)

    await endSandbox(uid)
    bubblewrap.hold()
    const abort = new AbortController()
    const aborted = agent.exec('bash', 'sleep 300', { signal: abort.signal })
    await expect.poll(() => firstProcessesOf(uid)).toHaveLength(1)
    abort.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    const terminated = agent.terminate()
    await expect.poll(() => firstProcessesOf(uid)).toEqual([])
    bubblewrap.release()
    await terminated
    expect(processesOf(uid, true)).toEqual([])
  },
)

test.runIf(process.getuid?.() === 0)(
  'SIGKILL of the server during the start of a sandbox leaves no process of it',
  async () => {
    using bubblewrap = slowBubblewrap()
    const server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--pool', '0', '--json'], {
      PATH: bubblewrap.searchPath,
    })
    const session = await new Theazo({ baseUrl: server.url, apiKey: server.apiKey }).sessions.forUser('crash')
    const agent = await session.agents.create()
    const uid = Number((await agent.exec('bash', 'id -u')).stdout)

    await endSandbox(uid)
    bubblewrap.hold()
    const cut = agent.exec('bash', 'sleep 300').catch((error: unknown) => error)
    await expect.poll(() => firstProcessesOf(uid)).toHaveLength(1)
    server.child.kill('SIGKILL')
    await server.ended
    expect(await cut).toMatchObject({ name: 'ConnectionError' })
    await expect.poll(() => firstProcessesOf(uid)).toEqual([])
    bubblewrap.release()
    await expect.poll(() => processesOf(uid)).toEqual([])
  },
)
