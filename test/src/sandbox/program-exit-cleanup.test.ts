// A program with fifty live agents ends in different ways: nothing of the agents remains on the machine.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createLocalTheazo } from '@theazo/server'
import { describe, expect, test } from 'vitest'
import { processesOf } from '../support/host-processes.ts'
import { root } from '../support/server-process.ts'

const pollOptions = { timeout: 20_000 }
const temporary = '/var/lib/theazo/temporary'

/** The program, and its resources on the machine. */
class Program implements AsyncDisposable {
  readonly #child = spawn(process.execPath, [join(root, 'test/fixture/many-agents.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  readonly #lines = createInterface(this.#child.stdout)
  readonly ended = once(this.#child, 'exit').then(([code, signal]) => code ?? signal)
  uids: number[] = []
  folder = ''
  groups: string[] = []

  async start(): Promise<void> {
    this.uids = (await this.nextMessage<{ uids: number[] }>()).uids
    const name = readdirSync(temporary).find((found) => found.startsWith(`${this.#child.pid}-`)) ?? expect.fail()
    this.folder = join(temporary, name)
    this.groups = readFileSync(join(this.folder, 'scratch/cgroups'), 'utf8').split('\n').filter(Boolean)
    // The control: all resources exist.
    for (const uid of this.uids) expect(processesOf(uid).length).toBeGreaterThan(3)
    expect(this.left().mounts.length === 0 || this.left().mounts.length > 50).toBe(true)
    for (const group of this.groups) expect(readdirSync(group).length).toBeGreaterThan(50)
    expect(this.left().launchers).toHaveLength(1)
  }

  async nextMessage<Message>(): Promise<Message> {
    const [line] = await Promise.race([
      once(this.#lines, 'line'),
      this.ended.then((code) => Promise.reject(new Error(`it ended with ${code}`))),
    ])
    return JSON.parse(line)
  }

  order(what: 'exit' | 'dispose'): void {
    this.#child.stdin.end(`${what}\n`)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  left() {
    const launchers = readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid) || !existsSync(`/proc/${pid}/cmdline`)) return false
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0${this.folder}/scratch\0`)
      } catch {
        return false // the process has ended
      }
    })
    return {
      processes: this.uids.flatMap((uid) => processesOf(uid)),
      launchers,
      mounts: readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(this.folder)),
      groups: this.groups.filter((path) => existsSync(path)),
      folder: existsSync(this.folder),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    await this.ended
  }
}

const nothing = { processes: [], launchers: [], mounts: [], groups: [], folder: false }

/** Fifty sandboxes start in this time; on a slow machine each uses seconds of both CPUs. */
const timeout = 300_000

describe.runIf(process.getuid?.() === 0)(
  'fifty agents, some with running code, some with detached processes, some paused',
  { timeout },
  () => {
    test('are removed when the server is disposed; it answers interrupted execs, and the program ends by itself', async () => {
      await using program = new Program()
      await program.start()
      program.order('dispose')
      const { statuses } = await program.nextMessage<{ statuses: number[] }>()
      expect(statuses).toEqual(Array.from({ length: 20 }, () => 502))
      expect(program.left()).toEqual(nothing)
      expect(await program.ended).toBe(0)
    })

    test.each(['by process.exit without a dispose', 'by SIGKILL'])(
      'whose program ends %s are removed by the next start, also the paused ones',
      async (how) => {
        await using program = new Program()
        await program.start()
        if (how === 'by SIGKILL') program.kill()
        else program.order('exit')
        expect(await program.ended).toBe(how === 'by SIGKILL' ? 'SIGKILL' : 0)
        await using _next = await createLocalTheazo()
        await expect.poll(() => program.left(), pollOptions).toEqual(nothing)
      },
    )
  },
)
