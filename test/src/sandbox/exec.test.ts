// The behaviour that code in the sandbox can rely on, through the client and the whole server.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Theazo, type Agent } from '@theazo/core'
import { createLocalTheazo, listenTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let local: LocalTheazo
let agent: Agent

beforeAll(async () => {
  local = await createLocalTheazo()
  agent = await newAgent(local)
})
afterAll(() => local[Symbol.asyncDispose]())

async function newAgent(options: ConstructorParameters<typeof Theazo>[0]): Promise<Agent> {
  const session = await new Theazo(options).sessions.forUser('exec')
  return await session.agents.create()
}

const four = { stdout: '4\n', stderr: '', exitCode: 0, durationMs: expect.any(Number) }

test('print(2 + 2) is 4, in-process and over a real port', async () => {
  expect(await agent.exec('python', 'print(2 + 2)')).toEqual(four)
  await using server = await listenTheazo({ port: 0 })
  await using remote = await newAgent({ baseUrl: server.url, apiKey: server.apiKey })
  expect(await remote.exec('python', 'print(2 + 2)')).toEqual(four)
})

describe('python', () => {
  test('runs as the main program with real line numbers, and imports from /workspace', async () => {
    await agent.exec('bash', 'echo "x = 40" > mod.py')
    const code = 'import mod, os\nprint(mod.x + 2, __name__, os.getcwd())\nraise ValueError("no")'
    const { stdout, stderr, exitCode } = await agent.exec('python', code)
    expect({ stdout, exitCode }).toEqual({ stdout: '42 __main__ /workspace\n', exitCode: 1 })
    expect(stderr).toMatch(/line 3, in <module>[^]*ValueError: no/)
  })

  test('threads, subprocesses and multiprocessing work', async () => {
    const code = `
import multiprocessing, subprocess, threading
def double(n): return n * 2
threading.Thread(target=print, args=("thread",)).start()
print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool: print(pool.map(double, [1, 2, 3]))`
    const { stdout, exitCode } = await agent.exec('python', code)
    expect(stdout.split('\n').toSorted()).toEqual(['', '[2, 4, 6]', 'child', 'thread'])
    expect(exitCode).toBe(0)
  })
})

describe('typescript', () => {
  test('supports types, top-level await, imports of built-ins, enums and require', async () => {
    const code = `
import { basename } from 'node:path'
import os from 'os'
enum Color { Red = 'red' }
interface Point { x: number }
const point: Point = await Promise.resolve({ x: 4 })
console.log(point.x, Color.Red, basename('/a/b'), os.platform(), require('node:fs').existsSync('/workspace'))`
    expect(await agent.exec('typescript', code)).toMatchObject({
      stdout: '4 red b linux true\n',
      stderr: '',
      exitCode: 0,
    })
  })

  test('imports files of /workspace, and stack traces show the lines of the user', async () => {
    await agent.exec('bash', 'echo "export const x: number = 40" > mod.ts')
    const code = `import { x } from './mod.ts'\n\nfunction fail(): never {\n  throw new Error('no ' + x)\n}\nfail()`
    const { stderr, exitCode } = await agent.exec('typescript', code)
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/Error: no 40\n\s+at fail \(.*main\.ts:4:9\)/)
  })

  test('an unhandled rejection is exit code 1', async () => {
    const { exitCode, stderr } = await agent.exec('typescript', 'Promise.reject(new Error("lost"))')
    expect([exitCode, stderr.includes('lost')]).toEqual([1, true])
  })
})

describe('bash', () => {
  test('keeps stdout and stderr apart, and both can be opened by name', async () => {
    const code = 'echo out > /dev/stdout; echo err > /dev/stderr; echo both | tee /dev/stderr'
    expect(await agent.exec('bash', code)).toMatchObject({ stdout: 'out\nboth\n', stderr: 'err\nboth\n', exitCode: 0 })
  })

  test.each([
    ['exit 3', 3],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
    ['nonsense-command', 127],
    ['', 0],
  ])('%j ends with %i, and its output contains no text of the runtime', async (code, exitCode) => {
    const result = await agent.exec('bash', code)
    expect(result).toMatchObject({ exitCode, stdout: '' })
    const complaint = /^\/run\/theazo\/\d+\/main\.sh: line 1: nonsense-command: command not found\n$/
    expect(result.stderr).toMatch(exitCode === 127 ? complaint : /^$/)
  })
})

test('bash runs a script with Windows line ends like one with Unix line ends', async () => {
  const script = `if [[ a == a ]]; then
  for n in 1 2; do echo "n $n"; done
fi
cat <<END
here
END
case x in x) echo x;; esac
f() { return 3; }
f || exit $?`
  const expected = { stdout: 'n 1\nn 2\nhere\nx\n', stderr: '', exitCode: 3 }
  for (const end of ['\n', '\r\n']) {
    expect(await agent.exec('bash', script.replaceAll('\n', end))).toMatchObject(expected)
    expect(await agent.exec('bash', `${script}\n`.replaceAll('\n', end), { env: { OWN: '1' } })).toMatchObject(expected)
  }
})

test.each([
  ['python', 'print("hi")'],
  ['typescript', 'console.log("hi" as string)'],
  ['bash', 'echo hi'],
] as const)('%s code may begin with a byte order mark', async (lang, code) => {
  expect(await agent.exec(lang, `\uFEFF${code}`)).toMatchObject({ stdout: 'hi\n', stderr: '', exitCode: 0 })
})

test('files persist between execs, shell state does not', async () => {
  await agent.exec('bash', 'cd /tmp; export X=1; echo kept > /workspace/kept; echo home > ~/home')
  const { stdout } = await agent.exec('bash', 'pwd; echo "[$X]"; cat kept ~/home')
  expect(stdout).toBe('/workspace\n[]\nkept\nhome\n')
})

test('code may be as large as a request body, and may contain any character', async () => {
  const text = `${'é😀\u0000'.repeat(1000)}"'\`$\\`
  const code = `import sys\nsys.stdout.write(${JSON.stringify(text).replaceAll('\\u0000', '\\x00')})\n#${'x'.repeat(5 * 1024 * 1024)}`
  const { stdout } = await agent.exec('python', code)
  expect(stdout === text).toBe(true)
})

test('output over 10 MiB is cut with a flag, and the code still ends normally', async () => {
  const code = 'head -c 11534336 /dev/zero | tr "\\0" x; head -c 100 /dev/zero | tr "\\0" y >&2; exit 5'
  const { stdout, stderr, exitCode, stdoutTruncated, stderrTruncated } = await agent.exec('bash', code)
  expect([stdout.length, stderr.length, exitCode]).toEqual([10 * 1024 * 1024, 100, 5])
  expect([stdoutTruncated, stderrTruncated]).toEqual([true, undefined])
})

test('output that is not UTF-8 is replaced and is never an error', async () => {
  expect((await agent.exec('bash', String.raw`printf 'a\xffb'`)).stdout).toBe('a\ufffdb')
})

test('code that closes its own working directory does not end the sandbox', async () => {
  await agent.exec('bash', 'echo kept > file; chmod 000 /workspace')
  expect(await agent.exec('bash', 'cat file')).toMatchObject({ stdout: 'kept\n', exitCode: 0 })
})

test('background processes of code end with the exec, but processes in their own session continue', async () => {
  const ticking = (name: string): string => `bash -c 'while true; do date +%s%N > ${name}; sleep 0.02; done' &`
  const code = `${ticking('stays')} set -m; ${ticking('own-group')} setsid ${ticking('leaves')}
    until [[ -e stays && -e own-group && -e leaves ]]; do sleep 0.01; done`
  expect((await agent.exec('bash', code)).exitCode).toBe(0)
  const look = `
    for name in stays own-group leaves; do
      before=$(cat $name)
      for _ in $(seq $([[ $name == leaves ]] && echo 300 || echo 3)); do
        sleep 0.1; [[ $before == $(cat $name) ]] || break
      done
      [[ $before == $(cat $name) ]] && echo $name is dead || echo $name lives
    done; kill $(pgrep -f leaves); while pgrep -f 'date.*leaves' > /dev/null; do sleep 0.01; done; echo ended`
  expect((await agent.exec('bash', look)).stdout).toBe('stays is dead\nown-group is dead\nleaves lives\nended\n')
})

test.each([
  ['bash', 'sleep 1000 & nohup sleep 1001 & echo on'],
  ['python', 'import subprocess\nfor n in 1000, 1001: subprocess.Popen(["sleep", str(n)])\nprint("on")'],
  [
    'typescript',
    `import { spawn } from 'node:child_process'\nfor (const n of ['1000', '1001']) spawn('sleep', [n], { stdio: 'ignore' }).unref()\nconsole.log('on')`,
  ],
] as const)('the output of %s code reports that its background processes were ended', async (lang, code) => {
  const { stdout, stderr, exitCode } = await agent.exec(lang, code)
  expect([stdout, exitCode]).toEqual(['on\n', 0])
  expect(stderr).toMatch(/^\nThe code has ended, so .* were ended: sleep 100[01], sleep 100[01]\. .*setsid.*\n$/)
  expect((await agent.exec('bash', 'pgrep -x sleep')).stdout).toBe('')
})

test('the output of code that other code kills reports the signal', async () => {
  const killed = await agent.exec('bash', 'echo begun; sleep 1000; echo ended', {
    onStdout: async () => void (await agent.exec('python', 'import os; os.system("pkill -KILL -x bash")')),
  })
  expect(killed).toMatchObject({ stdout: 'begun\n', exitCode: 137 })
  expect(killed.stderr).toBe(
    '\nThe code was killed by signal 9, so the processes that it had started were ended: sleep 1000.\n',
  )
})

test('many background processes are reported in a short note', async () => {
  const { stderr } = await agent.exec('bash', 'for n in $(seq 50); do sleep 1000 & done')
  expect(stderr).toMatch(/ended: (sleep 1000, ){5}and 45 more\. /)
  expect(stderr.length).toBeLessThan(400)
})

test('processes that end by themselves with the code are not killed or reported', async () => {
  const code = 'exec 3> >(tr a b); for n in $(seq 5); do seq 20000 | sed s/^/a/ >&3; done'
  const result = await agent.exec('bash', code)
  expect(result).toMatchObject({ stderr: '', exitCode: 0 })
  const lines = Array.from({ length: 100_000 }, (_, n) => `b${(n % 20_000) + 1}\n`)
  expect(result.stdout === lines.join('')).toBe(true)
})

test.each([
  ['bash', 'setsid sleep 2000 &'],
  ['bash', 'nohup setsid sleep 2000 > /dev/null 2>&1 &'],
  ['bash', '(setsid sleep 2000 > /dev/null 2>&1 < /dev/null &)'],
  ['python', 'import os\nif os.fork() == 0: os.execvp("setsid", ["setsid", "sleep", "2000"])'],
  ['python', 'import os\nif os.fork() == 0: sum(range(1000)); os.setsid(); os.execvp("sleep", ["sleep", "2000"])'],
  [
    'typescript',
    `import { spawn } from 'node:child_process'\nspawn('sleep', ['2000'], { detached: true, stdio: 'ignore' }).unref()`,
  ],
] as const)(
  'processes that %s starts in their own session continue, also if started as its last action: %s',
  async (lang, code) => {
    await using own = await newAgent(local)
    for (let time = 1; time <= 10; time += 1) {
      expect(await own.exec(lang, code)).toMatchObject({ stderr: '', exitCode: 0 })
      expect((await own.exec('bash', 'until ! pgrep setsid; do :; done; pgrep -fxc "sleep 2000"')).stdout).toBe(
        `${time}\n`,
      )
    }
  },
)

test('fifty execs of one agent run concurrently', async () => {
  const outputs = await Promise.all(Array.from({ length: 50 }, (_, n) => agent.exec('bash', `echo ${n}`)))
  expect(outputs.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 50 }, (_, n) => `${n}\n`))
})

test('at the deadline all processes are killed, the exec fails with 504, and the sandbox and its files stay', async () => {
  await using short = await createLocalTheazo({ execTimeoutMs: 5000 })
  const own = await newAgent(short)
  const code = 'setsid bash -c "while true; do date >> tick; sleep 0.02; done" & sleep 60'
  const error = await own.exec('bash', code).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ name: 'ServerTimeoutError', code: 'timeout', status: 504 })
  const { stdout } = await own.exec('bash', 'a=$(cat tick); sleep 0.1; [[ -n $a && $a == $(cat tick) ]] && echo dead')
  expect(stdout).toBe('dead\n')
})

/**
 * Bash that starts a process which repeatedly writes the time, waits until it writes, or waits until it has stopped.
 */
const ticks = 'setsid bash -c "while true; do date +%s%N > tick; sleep 0.02; done" &'
const untilTicking = 'until [[ -e tick ]]; do sleep 0.02; done'
const untilStill = 'last=; while [[ $(cat tick) != "$last" ]]; do last=$(cat tick); sleep 0.3; done; echo still'

test('a client that disconnects ends its code, over a port', async () => {
  await using server = await listenTheazo({ port: 0 })
  const remote = await newAgent({ baseUrl: server.url, apiKey: server.apiKey })
  const abort = new AbortController()
  const ended = remote.exec('bash', `${ticks} sleep 60`, { signal: abort.signal }).catch((error: unknown) => error)
  await remote.exec('bash', untilTicking)
  abort.abort(new Error('gone'))
  expect(await ended).toMatchObject({ message: 'gone' })
  expect((await remote.exec('bash', untilStill)).stdout).toBe('still\n')
})

test('an abort ends code that streams, also in-process and after garbage collection', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { promise: started, resolve: onStdout } = Promise.withResolvers<unknown>()
  const abort = new AbortController()
  const code = `${ticks} echo started; sleep 60`
  const ended = agent.exec('bash', code, { signal: abort.signal, onStdout }).catch((error: unknown) => error)
  await started
  for (let time = 0; time < 5; time += 1) {
    await agent.exec('bash', untilTicking)
    collect()
  }
  abort.abort(new Error('gone'))
  expect(await ended).toMatchObject({ message: 'gone' })
  expect((await agent.exec('bash', untilStill)).stdout).toBe('still\n')
})

test('terminate ends running code with 409, and removes all files, also ones without permissions', async () => {
  const own = await newAgent(local)
  const deep = 'mkdir -p closed/in; echo x > closed/in/file; ln -s /etc etc; chmod 000 closed; touch ready; sleep 60'
  const ended = own.exec('bash', deep).catch((error: unknown) => error)
  await own.exec('bash', 'until [[ -e ready ]]; do sleep 0.02; done')
  await own.terminate()
  expect(await ended).toMatchObject({ name: 'ConflictError', status: 409 })
  expect((await new Theazo(local).agents.get(own.id)).data.status).toBe('terminated')
})

test.each(['in-process', 'over a port'])(
  'a server that closes answers running execs, and accepts no new ones: %s',
  async (how) => {
    const server = how === 'in-process' ? await createLocalTheazo() : await listenTheazo({ port: 0 })
    const baseUrl = 'url' in server ? server.url : server.baseUrl
    // A client that retries finds no server, and finally reports that.
    const own = await newAgent({ ...server, baseUrl, maxRetries: 0 })
    const running = Array.from({ length: 10 }, (_, n) =>
      own.exec('bash', `touch ready-${n}; sleep 60`).catch((error: unknown) => error),
    )
    await own.exec('bash', 'until [[ $(ls ready-* | wc -l) == 10 ]]; do sleep 0.02; done')
    await server[Symbol.asyncDispose]()
    for (const error of await Promise.all(running)) {
      expect(error).toMatchObject({ name: 'ProviderError', status: 502, message: expect.stringContaining('shut down') })
    }
    await expect(own.exec('bash', 'true')).rejects.toMatchObject({ name: 'ConnectionError' })
  },
)
