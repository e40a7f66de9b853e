// Runs tools of the system by the launcher, a process beside this one.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findBubblewrap } from './find-bubblewrap.ts'
import { Launcher } from './launcher.ts'
import { Answers, order } from './launcher-messages.ts'
import { runTool } from './run-tool.ts'

let folder: string
let launcher: Launcher
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-launcher-'))
  launcher = new Launcher(folder)
})
afterAll(async () => {
  await launcher[Symbol.asyncDispose]()
  expect(launcherPid()).toBeUndefined()
  rmSync(folder, { recursive: true })
})

function launcherPid(): number | undefined {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      return (
        existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith(`\0${folder}\0`)
      )
    })
}

describe.each([
  ['the launcher', () => launcher.run],
  ['this process', () => runTool],
])('a tool run by %s', (_how, runner) => {
  test('returns its output', async () => {
    expect(await runner()('printf', ['%s', 'à\n'])).toBe('à\n')
  })

  test('reports the reason of a failure, and the output until then', async () => {
    const failed = runner()('sh', ['-c', 'echo some; echo why >&2; exit 3'])
    await expect(failed).rejects.toMatchObject({ name: 'ToolError', message: 'sh: why', output: 'some\n' })
  })

  test('rejects if the tool does not exist', async () => {
    await expect(runner()('no-such-tool', [])).rejects.toThrow(/no-such-tool/)
  })

  test('is killed if it takes too long', async () => {
    await expect(runner()('sleep', ['60'], { timeoutMs: 50 })).rejects.toMatchObject({ name: 'ToolError' })
  })

  test('has a bare environment', async () => {
    expect(await runner()('env', [])).toBe('PATH=/usr/sbin:/usr/bin:/sbin:/bin\n')
  })
})

test('a hundred concurrent tools get their own results', async () => {
  const numbers = Array.from({ length: 100 }, (_, index) => String(index))
  expect(await Promise.all(numbers.map((number) => launcher.run('echo', [number])))).toEqual(
    numbers.map((number) => `${number}\n`),
  )
})

test('a tool with much output returns the end of it', async () => {
  const output = await launcher.run('seq', ['1', '100000'])
  expect(output.length).toBe(4096)
  expect(output.endsWith('\n100000\n')).toBe(true)
})

test('a tool has the standard descriptors and no others', async () => {
  expect(await launcher.run('ls', ['/proc/self/fd'])).toBe('0\n1\n2\n3\n') // the last one is the descriptor of the folder itself
})

test('a tool ignores no signal, although the launcher ignores those of a terminal', async () => {
  await launcher.run('true', [])
  const statusOf = (pid: string | number): string => readFileSync(`/proc/${pid}/status`, 'utf8')
  expect(statusOf(launcherPid() ?? 0)).not.toMatch(/^SigIgn:\t0+$/m)
  const status = await launcher.run('grep', ['-E', 'Sig(Ign|Blk)', '/proc/self/status'])
  const masks = Array.from(status.matchAll(/[0-9a-f]{16}/g), ([mask]) => BigInt(`0x${mask}`))
  const ofGlibc = 3n << 31n // a process cannot set these
  expect(masks.map((mask) => mask & ~ofGlibc)).toEqual([0n, 0n])
})

test.each(['SIGKILL', 'SIGABRT'])(
  'if the launcher ends by %s, running calls reject, and the next call starts another one',
  async (signal) => {
    await launcher.run('true', [])
    const first = launcherPid() ?? 0
    const cut = launcher.run('sleep', ['60'])
    process.kill(first, signal)
    await expect(cut).rejects.toThrow(/the launcher has ended/)
    expect(await launcher.run('echo', ['on'])).toBe('on\n')
    expect(launcherPid()).not.toBe(first)
  },
)

test('reports that setpriv is missing', async () => {
  const program = `import { Launcher } from ${JSON.stringify(new URL('launcher.ts', import.meta.url).href)}
    await new Launcher('/tmp').run('true', []).catch(({ message }) => console.log(message))`
  const hidden = ['--tmpfs', '/usr/bin', '--ro-bind', process.execPath, '/usr/bin/node']
  const output = execFileSync(
    await findBubblewrap(),
    ['--ro-bind', '/', '/', ...hidden, '/usr/bin/node', '--input-type=module', '-e', program],
    { encoding: 'utf8' },
  )
  expect(output).toMatch(/setpriv ENOENT/)
})

test('assembles answers from chunks of any length', () => {
  const bytes = Buffer.concat([
    order('started', 7),
    order('first', 7, 4711),
    order('ended', 7, 127, 'out', 'a complaint\n'),
  ])
  for (let size = 1; size <= bytes.length; size += 1) {
    const answers = new Answers()
    const found = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => {
      return answers.push(bytes.subarray(index * size, (index + 1) * size))
    })
    expect(found.flat()).toEqual([
      { kind: 'started', number: 7 },
      { kind: 'first', number: 7, pid: 4711 },
      { kind: 'ended', number: 7, status: 127, output: 'out', complaint: 'a complaint' },
    ])
  }
})
