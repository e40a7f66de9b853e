// The server killed in the middle of things.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { expect, test } from 'vitest'
import { root, startServer } from './server-process.ts'

const bin = join(root, 'packages/server/dist/bin.js')

/** Every process of a host user; zombies count only where they are asked for. */
function processesOf(uid: number, zombies = false): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8')
        return new RegExp(`^Uid:\t${uid}\t`, 'm').test(status) && (zombies || !/^State:\tZ/m.test(status))
      } catch {
        return false // gone between the listing and the look
      }
    })
}

// A plain user's sandboxes share the user of this very test, whose processes cannot be told apart by uid.
test.runIf(process.getuid?.() === 0)(
  'SIGKILL of the server in the middle of execs leaves no process of a sandbox',
  async () => {
    for (let round = 0; round < 5; round += 1) {
      const server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--json'])
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
      expect(processesOf(uid).length).toBeGreaterThan(10) // the control: they are there, and this test sees them

      server.child.kill('SIGKILL')
      await server.ended
      for (const error of await Promise.all(running)) expect(error).toMatchObject({ name: 'ConnectionError' })
      await expect.poll(() => processesOf(uid), { timeout: 10_000 }).toEqual([])
    }
    expect(execFileSync('cat', ['/proc/mounts'], { encoding: 'utf8' })).not.toContain('theazo')
  },
)

test.runIf(process.getuid?.() === 0)(
  'an exec leaves no process, and no zombie to an init that may reap nothing',
  async () => {
    await using local = await createLocalTheazo({ execTimeoutMs: 500 })
    const session = await new Theazo(local).sessions.forUser('zombies')
    await using agent = await session.agents.create()
    const uid = Number((await agent.exec('bash', 'id -u')).stdout)
    for (const code of ['true', 'sleep 100 & sleep 100 & true', 'kill -9 $$', 'setsid sleep 100 & sleep 100']) {
      await agent.exec('bash', code).catch((error: unknown) => error) // the last one runs into its deadline
      expect(processesOf(uid, true)).toEqual([])
    }
  },
)
