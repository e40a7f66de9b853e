// The options of an exec: standard input, environment, working folder, timeout, and code of any size.
import type { Agent } from '@theazo/core'
import { beforeAll, describe, expect, test } from 'vitest'
import { interpreterSettings } from './warm-interpreter-settings.ts'
import { withLocalAgent } from '../support/local-agent.ts'

const languages = ['python', 'typescript', 'bash'] as const
const fiveMebi = 5 * 1024 * 1024

describe.each(interpreterSettings)('interpreters: %s', (_when, sandbox) => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox })
  beforeAll(async () => {
    await agent.exec('bash', 'mkdir -p sub closed; echo > afile; chmod 000 closed')
  })

  const countStdin = {
    python: 'import sys; print(len(sys.stdin.buffer.read()))',
    typescript: 'let n = 0\nfor await (const chunk of process.stdin) n += chunk.length\nconsole.log(n)',
    bash: 'wc -c',
  }
  test.each(languages)('%s reads standard input to its end: text, bytes or nothing', async (lang) => {
    const read = async (stdin?: string | Uint8Array): Promise<string> =>
      (await agent.exec(lang, countStdin[lang], { ...(stdin !== undefined && { stdin }) })).stdout
    expect(await read('é'.repeat(fiveMebi / 2))).toBe(`${fiveMebi}\n`)
    expect(await read(new Uint8Array(fiveMebi).fill(0xff))).toBe(`${fiveMebi}\n`)
    expect(await read('')).toBe('0\n')
    expect(await read()).toBe('0\n')
  })

  test.each(languages)('%s may ignore its input', async (lang) => {
    const code = { python: 'print("x")', typescript: 'console.log("x")', bash: 'echo x' }[lang]
    expect(await agent.exec(lang, code, { stdin: 'y'.repeat(fiveMebi) })).toMatchObject({ stdout: 'x\n', exitCode: 0 })
  })

  test('input bytes arrive unchanged, and no exec reads the input of another', async () => {
    const bytes = Uint8Array.from({ length: 512 }, (_, n) => n % 256)
    const { stdout } = await agent.exec('bash', 'base64 -w0', { stdin: bytes })
    expect(stdout).toBe(Buffer.from(bytes).toString('base64'))
    const code = "import { readFileSync } from 'node:fs'\nconsole.log(readFileSync(0, 'utf8'))"
    for (const stdin of ['one', 'two', undefined]) {
      const { stdout: read } = await agent.exec('typescript', code, { ...(stdin && { stdin }) })
      expect(read).toBe(`${stdin ?? ''}\n`)
    }
  })

  const show = {
    python: 'import os; print(os.environ["A"], end="")',
    typescript: 'process.stdout.write(process.env["A"]!)',
    bash: 'printf %s "$A"',
  }
  test.each(languages)('%s has the variables of env', async (lang) => {
    for (const value of ['', 'é😀 "\'$\n\\', 'x'.repeat(100 * 1024)]) {
      expect((await agent.exec(lang, show[lang], { env: { A: value } })).stdout === value).toBe(true)
    }
    const { exitCode } = await agent.exec(lang, show[lang]) // the variable exists only in its own exec
    expect(exitCode).toBe(lang === 'bash' ? 0 : 1)
  })

  test.each([
    ['python', 'PYTHONOPTIMIZE', '1', 'import sys; print(sys.flags.optimize)', '1'],
    [
      'python',
      'PYTHONHASHSEED',
      '0',
      'import subprocess, sys; print(hash("a") == int(subprocess.check_output([sys.executable, "-c", "print(hash(\\"a\\"))"])))',
      'True',
    ],
    [
      'python',
      'TZ',
      'Asia/Tokyo',
      'import datetime, time; print(datetime.datetime.fromtimestamp(0).hour, time.tzname[0])',
      '9 JST',
    ],
    ['python', 'LC_ALL', 'POSIX', 'import locale; print(locale.setlocale(locale.LC_ALL))', 'C'],
    [
      'python',
      'LD_LIBRARY_PATH',
      '/workspace/sub',
      'import ctypes; ctypes.CDLL("libmine.so"); print("found")',
      'found',
    ],
    ['typescript', 'NODE_OPTIONS', '--stack-trace-limit=3', 'console.log(Error.stackTraceLimit)', '3'],
    ['typescript', 'TZ', 'Asia/Tokyo', 'console.log(new Date(0).getHours())', '9'],
    ['typescript', 'LC_ALL', 'de_DE.UTF-8', 'console.log((1234.5).toLocaleString())', '1.234,5'],
    ['bash', 'BASH_ENV', '/workspace/sub/env.sh', 'echo "$from_env"', 'read'],
  ] as const)('%s applies %s, which it reads at its start', async (lang, name, value, code, expected) => {
    await agent.exec('bash', 'cp -L /lib/*-linux-gnu/libm.so.6 sub/libmine.so; echo from_env=read > sub/env.sh')
    expect((await agent.exec(lang, code)).stdout).not.toBe(`${expected}\n`)
    expect(await agent.exec(lang, code, { env: { [name]: value } })).toMatchObject({
      stdout: `${expected}\n`,
      stderr: '',
    })
    expect((await agent.exec(lang, code)).stdout).not.toBe(`${expected}\n`)
  })

  test('a PYTHONPATH of the caller comes after /workspace, which contains the modules of the user', async () => {
    await agent.exec('bash', 'mkdir -p more; echo "x = 1" > mine.py; echo "x = 2" > more/other.py')
    for (const env of [{}, { PYTHONPATH: '/workspace/more' }, { PYTHONPATH: '' }]) {
      expect((await agent.exec('python', 'import mine; print(mine.x)', { env })).stdout).toBe('1\n')
    }
    const both = 'import mine, other; print(mine.x, other.x)'
    const env = { PYTHONPATH: '/workspace/more' }
    expect((await agent.exec('python', both, { env })).stdout).toBe('1 2\n')
    expect((await agent.exec('bash', `python3 -c '${both}'`, { cwd: '/tmp', env })).stdout).toBe('1 2\n')
  })

  const pwd = { python: 'import os; print(os.getcwd())', typescript: 'console.log(process.cwd())', bash: 'pwd' }
  test.each(languages)('%s starts in the folder of cwd', async (lang) => {
    for (const [cwd, expected] of [
      ['/tmp', '/tmp'],
      ['sub', '/workspace/sub'],
      ['./sub/../sub', '/workspace/sub'],
      ['/', '/'],
    ] as const) {
      expect(await agent.exec(lang, pwd[lang], { cwd })).toMatchObject({
        stdout: `${expected}\n`,
        stderr: '',
        exitCode: 0,
      })
    }
  })

  test.each(languages)(
    '%s is refused an invalid folder, and ends immediately in one without permissions',
    async (lang) => {
      for (const cwd of ['/nope', 'afile']) {
        await expect(agent.exec(lang, pwd[lang], { cwd })).rejects.toMatchObject({ status: 422 })
      }
      const { stdout, stderr, exitCode } = await agent.exec(lang, pwd[lang], { cwd: 'closed' })
      expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 126 })
      expect(stderr).toMatch(/closed: permission denied\n$/i)
    },
  )

  test.each(languages)('%s still starts if code removed the permissions of /workspace', async (lang) => {
    await agent.exec('bash', 'chmod 000 /workspace')
    expect(await agent.exec(lang, pwd[lang])).toMatchObject({ stdout: '/workspace\n', stderr: '', exitCode: 0 })
  })

  test.each(languages)(
    '%s code that runs longer than its timeoutMs is killed, and its sandbox continues',
    async (lang) => {
      const code = {
        python: 'open("begun", "w").close()\nwhile True: pass',
        typescript: "import { writeFileSync } from 'node:fs'\nwriteFileSync('begun', '')\nfor (;;);",
        bash: '> begun; while :; do :; done',
      }[lang]
      const ended = agent.exec(lang, code, { timeoutMs: 1500 }).catch((error: unknown) => error)
      expect(await ended).toMatchObject({ name: expect.stringMatching(/Timeout/) })
      expect((await agent.exec('bash', '[[ -e begun ]] && echo begun; rm -f begun')).stdout).toBe('begun\n')
    },
  )

  test.each(languages)('%s code may be 5 MiB', async (lang) => {
    const filler = 'é'.repeat(fiveMebi / 2)
    const code = {
      python: `x = "${filler}"\nprint(len(x))`,
      typescript: `const x: string = '${filler}'\nconsole.log(x.length)`,
      bash: `x='${filler}'\necho \${#x}`,
    }[lang]
    expect(await agent.exec(lang, code)).toMatchObject({ stdout: `${fiveMebi / 2}\n`, stderr: '', exitCode: 0 })
  })
})
