// The reapers in a sandbox, and the state in which they start code.
import type { Agent, Language } from '@theazo/core'
import { beforeAll, describe, expect, test } from 'vitest'
import { sandboxRoles, signal } from '../support/sandbox-processes.ts'
import { interpreterSettings } from './warm-interpreter-settings.ts'
import { withLocalAgent } from '../support/local-agent.ts'

const printing: Record<Language, string> = { python: 'print(4)', bash: 'echo 4', typescript: 'console.log(4)' }
const languages = ['python', 'typescript', 'bash'] as const

describe.each(interpreterSettings)('interpreters: %s', (when, sandbox) => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox })

  const state: Record<Language, string> = {
    python: `
import os, re
limits = re.search(r'Max processes +(\\d+) +(\\d+)', open('/proc/self/limits').read()).groups()
print(os.nice(0), *limits, open('/proc/self/oom_score_adj').read().strip(), os.getsid(0) == os.getpid())`,
    typescript: `
import { readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
const limits = /Max processes +(\\d+) +(\\d+)/.exec(readFileSync('/proc/self/limits', 'utf8')).slice(1)
const session = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')[3]
console.log(getPriority(), ...limits, readFileSync('/proc/self/oom_score_adj', 'utf8').trim(), String(session === String(process.pid)).replace(/^./, (c) => c.toUpperCase()))`,
    bash: `
read -r _ _ _ _ _ session _ < /proc/$$/stat
echo "$(nice) $(ulimit -Su) $(ulimit -Hu) $(< /proc/self/oom_score_adj) $( (( session == $$ )) && echo True)"`,
  }
  test.each([
    ['python', 'with the usual environment', {}],
    ['python', 'that needs an interpreter of its own', { PYTHONHASHSEED: '1' }],
    ['typescript', 'with the usual environment', {}],
    ['typescript', 'that needs an interpreter of its own', { NODE_OPTIONS: '--no-deprecation' }],
    ['bash', 'with the usual environment', {}],
    ['bash', 'with an environment of its own', { OWN: '1' }],
  ] as const)('%s code %s has its priority, limits and session', async (lang, _how, env) => {
    for (let time = 0; time < 2; time += 1) {
      const { stdout, stderr } = await agent.exec(lang, state[lang], { env })
      expect([stdout, stderr]).toEqual(['10 512 512 500 True\n', ''])
    }
  })

  test.each(languages)('%s code receives environments and input of any length', async (lang) => {
    const long = 'x'.repeat(120_000)
    const code = {
      python: 'import os, sys; print(len(os.environ["LONG"]), len(sys.stdin.read()))',
      typescript:
        'import { readFileSync } from "node:fs"; console.log(process.env.LONG.length, readFileSync(0, "utf8").length)',
      bash: 'printf "%s " ${#LONG}; wc -c',
    }[lang]
    const { stdout, stderr } = await agent.exec(lang, code, { env: { LONG: long }, stdin: long.repeat(10) })
    expect([stdout, stderr]).toEqual(['120000 1200000\n', ''])
  })

  test.each([
    'pkill python3',
    'pkill node',
    'killall -q python3 node',
    'pkill -f python',
    'pkill -f supervisor',
    'pkill -KILL -x "python3|node"',
    'for name in HUP INT QUIT USR1 USR2 ALRM TERM TSTP RTMIN; do kill -$name -1; done',
  ])('%s ends only processes of code', async (attack) => {
    const own = await agent.exec('bash', `${attack}; echo on`)
    expect([own.stdout, own.stderr, own.exitCode]).toEqual(['on\n', '', 0])
    const start =
      'trap "" HUP INT QUIT USR1 USR2 ALRM TERM TSTP RTMIN; touch beside; until [[ -e go ]]; do read -t 0.02 <> <(:); done'
    const beside = agent.exec('bash', `rm -f go; ${start}; echo on; rm beside`)
    const after = await agent.exec('bash', `until [[ -e beside ]]; do sleep 0.02; done; ${attack}; touch go; echo on`)
    expect([after.stdout, after.exitCode, (await beside).stdout]).toEqual(['on\n', 0, 'on\n'])
    for (const lang of languages) expect((await agent.exec(lang, printing[lang])).stdout).toBe('4\n')
  })

  const named: Record<Language, string> = {
    python: 'print(open("/proc/self/comm").read() + open("/proc/self/cmdline").read().replace("\\0", " "))',
    typescript: `
import { readFileSync } from 'node:fs'
console.log(readFileSync('/proc/self/comm', 'utf8') + readFileSync('/proc/self/cmdline', 'utf8').replaceAll('\\0', ' '))`,
    bash: 'cat /proc/$$/comm; tr "\\0" " " < /proc/$$/cmdline',
  }
  test.each([
    ['python', /^python3\n\S*python3 \/run\/theazo\/\d+\/main\.py\s*$/],
    ['typescript', /^node\n\S*node \/workspace\/main\.ts\s*$/],
    ['bash', /^bash\n\S*bash \/run\/theazo\/\d+\/main\.sh\s*$/],
  ] as const)('%s code has the name of its interpreter, and no other process has such a name', async (lang, name) => {
    expect((await agent.exec(lang, named[lang])).stdout).toMatch(name)
    await expect // a warm node has the name `node` until it is ready
      .poll(
        async () =>
          (await agent.exec('bash', 'pgrep -l "python|node|^bash"; pgrep -fl "python|node|supervisor"')).stdout,
      )
      .toMatch(/^\d+ bash\n(\d+ theazo-waiting\n)?$/)
  })

  test.each([
    ['python', 'import re; print(re.search("SigIgn:\\\\s*(.*)", open("/proc/self/status").read())[1])', '1001000'],
    [
      'typescript',
      "console.log(/SigIgn:\\s*(.*)/.exec((await import('node:fs')).readFileSync('/proc/self/status', 'utf8'))?.[1])",
      '1001000',
    ],
    ['bash', 'grep SigIgn /proc/self/status | cut -f 2', '0'],
  ] as const)('%s code starts with only the signals ignored that its interpreter ignores', async (lang, code, mask) => {
    // Signals 32 and 33 belong to the C library, which ignores them in processes that it starts.
    const own = ~(1n << 31n) & ~(1n << 32n)
    expect((BigInt(`0x${(await agent.exec(lang, code)).stdout.trim()}`) & own).toString(16)).toBe(mask)
  })

  test('consecutive long execs use the same few reapers, if reapers are kept', async () => {
    const reapers = new Set<string>()
    for (let time = 0; time < 6; time += 1) {
      const { stdout } = await agent.exec('python', 'import os, time; time.sleep(0.5); print(os.getppid())')
      reapers.add(stdout)
    }
    if (when === 'warm') expect(reapers.size).toBeLessThanOrEqual(3)
    else expect(reapers.size).toBe(6)
  })

  test('many concurrent execs in all languages end correctly, and afterwards only the configured number of interpreters is warm', async () => {
    const all = await Promise.all(
      Array.from({ length: 18 }, async (_, index) => {
        const lang = languages[index % 3] ?? 'bash'
        return (await agent.exec(lang, printing[lang])).stdout
      }),
    )
    expect(all).toEqual(Array.from({ length: 18 }, () => '4\n'))
    if (process.getuid?.() !== 0) return
    const uid = Number((await agent.exec('bash', 'id -u')).stdout)
    const most = when === 'warm' ? 3 : 0
    await expect.poll(() => sandboxRoles(uid).reapers.length, { timeout: 15_000 }).toBe(most)
  })
})

describe('in a sandbox with a low process limit', () => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox: { maxProcesses: 64 } })

  const orphans: Record<Language, string> = {
    bash: 'for n in $(seq 100); do (/bin/true &); done; (exit 3) & wait $!; echo $?',
    python: `
import os
for n in range(100):
    child = os.fork()
    if child == 0:
        os.fork()
        os._exit(3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status)`,
    typescript: `
import { spawnSync } from 'node:child_process'
const { status } = spawnSync('/bin/bash', ['-c', 'for n in $(seq 100); do (/bin/true &); done; exit 3'])
console.log(status)`,
  }
  test.each(languages)(
    '%s code can start any number of short background processes, and wait for its own',
    async (lang) => {
      const { stdout, stderr } = await agent.exec(lang, orphans[lang])
      expect([stdout, stderr]).toEqual(['3\n', ''])
    },
  )
})

describe('TypeScript is converted to JavaScript before it reaches node', () => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened))

  /** Prints whether node has loaded its compiler (amaro). */
  const look = 'console.log((process as any).moduleLoadList.some((name: string) => name.includes("amaro")))'

  test.each([
    ['if it only has types', ''],
    ['if it needs a transform', 'enum A { B }\n'],
  ])('%s, so that node does not load a compiler', async (_what, more) => {
    await expect.poll(async () => (await agent.exec('typescript', more + look)).stdout).toBe('false\n')
  })

  test('except if it is long or invalid', async () => {
    expect((await agent.exec('typescript', `${look} // ${'x'.repeat(300_000)}`)).stdout).toBe('true\n')
    const { stderr, exitCode } = await agent.exec('typescript', 'const a: = 1')
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/main\.ts:1\n[^]*SyntaxError/)])
  })

  test('and stack traces show the original positions', async () => {
    const code = 'enum A { B }\nfunction fail(what: string): never {\n  throw new Error(what)\n}\nfail("on line 3")'
    const { stderr } = await agent.exec('typescript', code)
    expect(stderr).toMatch(/\/workspace\/main\.ts:3\n {2}throw new Error\(what\)/)
    expect(stderr).toMatch(/at fail \(.*\/workspace\/main\.ts:3:9\)\n +at .*\/workspace\/main\.ts:5:1/)
  })
})

describe.runIf(process.getuid?.() === 0)('reapers of one agent', () => {
  let agent: Agent
  let uid: number
  withLocalAgent((opened) => void (agent = opened))
  beforeAll(async () => {
    uid = Number((await agent.exec('bash', 'id -u')).stdout)
    for (const lang of languages) await agent.exec(lang, printing[lang])
  })

  const pids = (): number[] => sandboxRoles(uid).reapers.map(({ pid }) => pid)
  const waiting = (): number => {
    const { all, reapers } = sandboxRoles(uid)
    return reapers.filter(({ pid }) => all.some(({ parent }) => parent === pid)).length
  }
  /** Waits until a Python, a Bash and a node are warm. */
  async function settled(): Promise<void> {
    await expect.poll(() => [pids().length, waiting()], { timeout: 20_000 }).toEqual([3, 3])
  }

  // During an exec the sandbox prepares another reaper, so on a busy machine several reapers take part.
  test.each([
    ['python', 'import os; print(os.getppid())'],
    ['typescript', 'console.log(process.ppid)'],
    ['bash', 'echo $PPID'],
  ] as const)('serve several %s execs, one after the other', async (lang, code) => {
    await settled()
    const parents: string[] = []
    for (let round = 0; round < 20; round += 1) parents.push((await agent.exec(lang, code)).stdout)
    expect(new Set(parents).size).toBeLessThan(parents.length)
    for (const parent of parents) expect(parent).toMatch(/^\d+\n$/)
  })

  test('stay until detached processes of their exec end; other reapers serve meanwhile', async () => {
    await settled()
    const before = pids()
    const detached = `setsid sleep 1000 > /dev/null 2>&1 &
until read -r _ _ _ _ _ session _ < /proc/$!/stat && (( session == $! )); do :; done
echo $!`
    const sleeper = Number((await agent.exec('bash', detached)).stdout)
    const keeper =
      sandboxRoles(uid).all.find(({ pidInside }) => pidInside === sleeper)?.parent ??
      expect.fail('the detached process is gone')
    expect(before).toContain(keeper)
    for (let round = 0; round < 3; round += 1) {
      for (const lang of languages) expect((await agent.exec(lang, printing[lang])).stdout).toBe('4\n')
    }
    expect(pids()).toContain(keeper)
    await agent.exec('bash', `kill ${sleeper}`)
    await expect.poll(() => pids(), { timeout: 10_000 }).not.toContain(keeper)
    await settled()
  })

  test('that are killed while idle are replaced', async () => {
    for (let round = 0; round < 3; round += 1) {
      const before = sandboxRoles(uid).reapers
      for (const reaper of before) expect(signal(reaper, 'SIGKILL')).toBe(true)
      for (const lang of languages) {
        // Retries if the error reports that the code never started.
        await expect.poll(() => agent.exec(lang, printing[lang]).catch(String)).toMatchObject({ stdout: '4\n' })
      }
      await settled()
      expect(pids().filter((pid) => before.some((reaper) => reaper.pid === pid))).toEqual([])
    }
  })

  test('discard late output of earlier execs', async () => {
    // A process that outlives its exec cannot stall a later exec or write to its output.
    await agent.exec('bash', 'setsid bash -c "while sleep 0.01; do echo late; done" & echo early')
    for (let round = 0; round < 5; round += 1) {
      expect(await agent.exec('bash', 'echo 4; sleep 0.05')).toMatchObject({ stdout: '4\n', stderr: '' })
    }
    await agent.exec('bash', 'pkill -f late')
    await settled()
  })
})
