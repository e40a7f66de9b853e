// The reaction of the server to a supervisor that is silent, ends or sends nonsense. A real process plays the supervisor.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import type { ExecRequest } from '../compute-provider.ts'
import { Supervisor, type SupervisorTimes } from './supervisor.ts'

/** Sends frames, `<IBH`, on its standard output; `take()` waits for the next frame from the server. */
const frameFunctions = `
import os, struct, time
READY, PONG, STDOUT, STDERR, FILE, EXIT, GONE, REFUSED = range(1, 9)
def say(exec_id, kind, payload=b''): os.write(1, struct.pack('<IBH', exec_id, kind, len(payload)) + payload)
def done(exec_id, code=0): say(exec_id, EXIT, struct.pack('<iB', code, 0))
def read(count):
    data = b''
    while len(data) < count:
        more = os.read(0, count - len(data))
        if not more: os._exit(0)
        data += more
    return data
def take(kind=1):
    while True:
        exec_id, found, length = struct.unpack('<IBI', read(9))
        read(length)
        if found == kind: return exec_id
        if found == 3: say(0, PONG)
`

const short: SupervisorTimes = { startMs: 500, pingMs: 50, answerMs: 500, maxMs: 1_000 }
/** So long that no wait for an answer ends. */
const patient: SupervisorTimes = { startMs: 30_000, pingMs: 20, answerMs: 30_000, maxMs: 30_000 }
const request: ExecRequest = { lang: 'bash', code: 'echo', maxOutputBytes: 1000 }

/** A supervisor whose process runs this program. */
function supervisedBy(program: string, times: SupervisorTimes) {
  const child = spawn('/usr/bin/python3', ['-c', frameFunctions + program], { stdio: ['pipe', 'pipe', 'inherit'] })
  // The types of spawn know that both pipes are there.
  const [down, up]: [Writable, Readable] = [child.stdin, child.stdout]
  down.on('error', () => {})
  let output = ''
  const supervisor = new Supervisor(
    {
      down,
      up,
      firstPid: () => child.pid,
      ended: once(child, 'close').then(() => ''),
      kill: () => child.kill('SIGKILL'),
    },
    {},
    times,
  )
  return {
    supervisor,
    output: () => output,
    exec: (signal = new AbortController().signal) => {
      const take = (chunk: Uint8Array): void => void (output += Buffer.from(chunk).toString())
      return supervisor.exec(request, { stdout: take, stderr: take }, signal)
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await supervisor.ended
    },
  }
}

test.each([
  ['ends immediately', '', /did not start/],
  ['is silent', 'take(9)', /does not answer/],
  ['sends nonsense', 'os.write(1, b"no frame" * 9000); take(9)', /sent invalid data/],
])('a sandbox does not start if its supervisor %s', async (_how, program, why) => {
  await using sandbox = supervisedBy(program, short)
  await expect(sandbox.supervisor.ready()).rejects.toMatchObject({
    name: 'SandboxStartError',
    message: expect.stringMatching(why),
  })
})

test.each([
  ['bytes that are not a frame', 'os.write(1, bytes(100))', /sent invalid data/],
  ['an unknown frame kind', 'say(n, 77)', /sent invalid data/],
  ['an exit frame that is too short', 'say(n, EXIT, b"1")', /sent invalid data/],
  ['an impossible exit code', 'done(n, 256)', /sent invalid data/],
  ['a file outside of /workspace', 'say(n, FILE, struct.pack("<QH", 1, 4) + b"/etc")', /sent invalid data/],
  ['an end that was not requested', 'say(n, GONE)', /without an order/],
  ['half a frame', 'os.write(1, struct.pack("<IBH", n, STDOUT, 9)); time.sleep(60)', /does not answer/],
  ['nothing', 'time.sleep(60)', /does not answer/],
  ['nothing and is busy forever', 'any(iter(int, 1))', /does not answer/],
  ['nothing and is stopped', 'os.kill(os.getpid(), 19)', /does not answer/],
  ['nothing and ends', 'os._exit(0)', /broke down while the code ran/],
])('running code fails with SandboxLostError if the supervisor sends %s', async (_what, program, why) => {
  // The control: the exec before it is answered.
  await using sandbox = supervisedBy(`say(0, READY); done(take(), 3); n = take(); ${program}; take(9)`, short)
  await sandbox.supervisor.ready()
  expect(await sandbox.exec()).toMatchObject({ exitCode: 3 })
  const both = await Promise.allSettled([sandbox.exec(), sandbox.exec()])
  for (const ended of both) {
    expect(ended).toMatchObject({
      status: 'rejected',
      reason: { name: 'SandboxLostError', message: expect.stringMatching(why) },
    })
  }
  expect(sandbox.supervisor.isLost).toBe(true)
  await expect(sandbox.exec()).rejects.toMatchObject({ name: 'SandboxLostError' })
})

test('frames that come twice, late, in parts or for an exec that has ended change nothing', async () => {
  const program = `
say(0, READY); say(0, READY); say(0, PONG)
first = take(); say(first, STDOUT, b'one'); done(first, 1); done(first, 2); say(first, STDOUT, b'late'); say(first, GONE)
second = take(); done(first, 9); done(99); say(second, STDERR, b'two')
for byte in struct.pack('<IBH', second, EXIT, 5) + struct.pack('<iB', 2, 0):
    os.write(1, bytes([byte])); time.sleep(0.01)
take(9)`
  await using sandbox = supervisedBy(program, patient)
  await sandbox.supervisor.ready()
  expect(await sandbox.exec()).toMatchObject({ exitCode: 1 })
  expect(await sandbox.exec()).toMatchObject({ exitCode: 2 })
  expect(sandbox.output()).toBe('onetwo')
})

test('if code does not end when it is aborted, its sandbox is killed, and the exec rejects with the reason of the abort', async () => {
  await using sandbox = supervisedBy('say(0, READY); n = take(); say(n, STDOUT, b"on"); take(2); take(9)', {
    ...short,
    startMs: 30_000,
  })
  await sandbox.supervisor.ready()
  const abort = new AbortController()
  const running = sandbox.exec(abort.signal)
  running.catch(() => {})
  await expect.poll(sandbox.output).toBe('on')
  abort.abort(new Error('late'))
  await expect(running).rejects.toThrow('late')
  await sandbox.supervisor.ended
})

test('an exec that is aborted before its start rejects, and the next one runs', async () => {
  await using sandbox = supervisedBy('say(0, READY)\nwhile True: done(take())', patient)
  await sandbox.supervisor.ready()
  await expect(sandbox.exec(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  expect(await sandbox.exec()).toMatchObject({ exitCode: 0 })
})

test('a supervisor that is frozen between two execs, with an unanswered ping, is not killed', async () => {
  // It never answers the ping during the first exec, like a supervisor that is frozen at that moment.
  const program = `
say(0, READY); n = take()
while struct.unpack('<IBI', read(9))[1] != 3: pass
done(n); os.write(2, b''); m = take(); done(m); take(9)`
  await using sandbox = supervisedBy(program, { startMs: 30_000, pingMs: 20, answerMs: 400, maxMs: 400 })
  await sandbox.supervisor.ready()
  await sandbox.exec()
  // Longer than an answer may take: there is no event for a timer that does not fire.
  await new Promise((resolve) => setTimeout(resolve, 800))
  expect(sandbox.supervisor.isLost).toBe(false)
  expect(await sandbox.exec()).toMatchObject({ exitCode: 0 })
})

test('a supervisor that has no CPU for a while is not killed, nor one that sends output all the time', async () => {
  const program = `
say(0, READY)
n = take(); until = time.time() + 1.5
while time.time() < until: pass
done(n, 5)
n = take(); until = time.time() + 1.5
while time.time() < until: say(n, STDOUT, b'.'); time.sleep(0.05)
done(n, 6); take(9)`
  await using sandbox = supervisedBy(program, { ...short, maxMs: 30_000 })
  await sandbox.supervisor.ready()
  expect(await sandbox.exec()).toMatchObject({ exitCode: 5 }) // three times as long as an answer may take
  expect(await sandbox.exec()).toMatchObject({ exitCode: 6 })
})
