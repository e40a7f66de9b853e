// What the server makes of a supervisor that is silent, ends or says nonsense: a real process that speaks as it is told.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import type { ExecRequest } from '../compute-provider.ts'
import { Supervisor, type SupervisorTimes } from './supervisor.ts'

/** Speaks frames, `<IBH`, on its standard output; `take()` waits for the next one from the server. */
const speaker = `
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
/** Long enough that nothing is given up for want of an answer. */
const patient: SupervisorTimes = { startMs: 30_000, pingMs: 20, answerMs: 30_000, maxMs: 30_000 }
const request: ExecRequest = { lang: 'bash', code: 'echo', maxOutputBytes: 1000 }

/** A supervisor that runs this program. */
function speaking(program: string, times: SupervisorTimes) {
  const child = spawn('/usr/bin/python3', ['-c', speaker + program], { stdio: ['pipe', 'pipe', 'inherit'] })
  // The types of spawn know that both pipes are there.
  const [down, up]: [Writable, Readable] = [child.stdin, child.stdout]
  down.on('error', () => {})
  let said = ''
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
    said: () => said,
    exec: (signal = new AbortController().signal) => {
      const take = (chunk: Uint8Array): void => void (said += Buffer.from(chunk).toString())
      return supervisor.exec(request, { stdout: take, stderr: take }, signal)
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await supervisor.ended
    },
  }
}

test.each([
  ['ends at once', '', /did not start/],
  ['is silent', 'take(9)', /does not answer/],
  ['says nonsense', 'os.write(1, b"no frame" * 9000); take(9)', /makes no sense/],
])('a sandbox whose supervisor %s does not start', async (_how, program, why) => {
  await using sandbox = speaking(program, short)
  await expect(sandbox.supervisor.ready()).rejects.toMatchObject({
    name: 'SandboxStartError',
    message: expect.stringMatching(why),
  })
})

test.each([
  ['bytes that are no frame', 'os.write(1, bytes(100))', /makes no sense/],
  ['a kind that there is not', 'say(n, 77)', /makes no sense/],
  ['an end that is too short', 'say(n, EXIT, b"1")', /makes no sense/],
  ['an exit code that there is not', 'done(n, 256)', /makes no sense/],
  ['a file outside of /workspace', 'say(n, FILE, struct.pack("<QH", 1, 4) + b"/etc")', /makes no sense/],
  ['an end that nobody asked for', 'say(n, GONE)', /nobody told/],
  ['half a frame', 'os.write(1, struct.pack("<IBH", n, STDOUT, 9)); time.sleep(60)', /does not answer/],
  ['nothing any more', 'time.sleep(60)', /does not answer/],
  ['nothing, and is busy for ever', 'any(iter(int, 1))', /does not answer/],
  ['nothing, and is stopped', 'os.kill(os.getpid(), 19)', /does not answer/],
  ['that it has ended', 'os._exit(0)', /broke down while the code ran/],
])('code under way fails as a sandbox that is lost where the supervisor says %s', async (_what, program, why) => {
  // The control: the exec before it is answered.
  await using sandbox = speaking(`say(0, READY); done(take(), 3); n = take(); ${program}; take(9)`, short)
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

test('frames that come twice, late, in pieces or of an exec that has ended change nothing', async () => {
  const program = `
say(0, READY); say(0, READY); say(0, PONG)
first = take(); say(first, STDOUT, b'one'); done(first, 1); done(first, 2); say(first, STDOUT, b'late'); say(first, GONE)
second = take(); done(first, 9); done(99); say(second, STDERR, b'two')
for byte in struct.pack('<IBH', second, EXIT, 5) + struct.pack('<iB', 2, 0):
    os.write(1, bytes([byte])); time.sleep(0.01)
take(9)`
  await using sandbox = speaking(program, patient)
  await sandbox.supervisor.ready()
  expect(await sandbox.exec()).toMatchObject({ exitCode: 1 })
  expect(await sandbox.exec()).toMatchObject({ exitCode: 2 })
  expect(sandbox.said()).toBe('onetwo')
})

test('code that is told to end and does not takes its sandbox with it, and rejects with what ended it', async () => {
  await using sandbox = speaking('say(0, READY); n = take(); say(n, STDOUT, b"on"); take(2); take(9)', {
    ...short,
    startMs: 30_000,
  })
  await sandbox.supervisor.ready()
  const abort = new AbortController()
  const running = sandbox.exec(abort.signal)
  running.catch(() => {})
  await expect.poll(sandbox.said).toBe('on')
  abort.abort(new Error('late'))
  await expect(running).rejects.toThrow('late')
  await sandbox.supervisor.ended
})

test('an exec that was aborted before it was asked for rejects, and the next one runs', async () => {
  await using sandbox = speaking('say(0, READY)\nwhile True: done(take())', patient)
  await sandbox.supervisor.ready()
  await expect(sandbox.exec(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  expect(await sandbox.exec()).toMatchObject({ exitCode: 0 })
})

test('a supervisor that is frozen between two execs, with a question open, is not given up', async () => {
  // It never answers what it is asked while the first exec runs, as one that is frozen just then.
  const program = `
say(0, READY); n = take()
while struct.unpack('<IBI', read(9))[1] != 3: pass
done(n); os.write(2, b''); m = take(); done(m); take(9)`
  await using sandbox = speaking(program, { startMs: 30_000, pingMs: 20, answerMs: 400, maxMs: 400 })
  await sandbox.supervisor.ready()
  await sandbox.exec()
  // As long as an answer may take, and then some: nothing tells of a timer that does not fire.
  await new Promise((resolve) => setTimeout(resolve, 800))
  expect(sandbox.supervisor.isLost).toBe(false)
  expect(await sandbox.exec()).toMatchObject({ exitCode: 0 })
})

test('a supervisor that has no CPU for a while is not given up, nor one whose words fill the pipe', async () => {
  const program = `
say(0, READY)
n = take(); until = time.time() + 1.5
while time.time() < until: pass
done(n, 5)
n = take(); until = time.time() + 1.5
while time.time() < until: say(n, STDOUT, b'.'); time.sleep(0.05)
done(n, 6); take(9)`
  await using sandbox = speaking(program, { ...short, maxMs: 30_000 })
  await sandbox.supervisor.ready()
  expect(await sandbox.exec()).toMatchObject({ exitCode: 5 }) // three times as long as an answer may take
  expect(await sandbox.exec()).toMatchObject({ exitCode: 6 })
})
