// What is told of code that kills the process which passes its output on, as `kill -9 -1` does.
import { Theazo, type Agent } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { settings } from './sandbox-settings.ts'

describe.each(settings)('interpreters %s', (_when, sandbox) => {
  let local: LocalTheazo
  let agent: Agent
  beforeAll(async () => {
    local = await createLocalTheazo({ sandbox })
    agent = await (await new Theazo(local).sessions.forUser('killed-reapers')).agents.create()
  })
  afterAll(() => local[Symbol.asyncDispose]())

  test('code that kills what watches over it is ended, and told so', async () => {
    const { exitCode, stderr } = await agent.exec('bash', 'kill -9 -1; sleep 60')
    expect([exitCode, stderr]).toEqual([137, expect.stringContaining('killed by signal 9')])
  })

  const untilHeld = `
import fcntl, os, termios
print('begun', end='')
unread = bytearray(4)
def is_held():
    fcntl.ioctl(1, termios.FIONREAD, unread)
    return not any(unread) and open(f'/proc/{os.getppid()}/stat').read().rpartition(') ')[2][0] == 'S'
while not is_held(): pass
os.kill(-1, 9)`
  test.each([
    ['has not read', 'bash', 'kill -STOP $PPID; printf begun; kill -9 -1; sleep 60'],
    ['holds until the end of the line', 'python', untilHeld],
  ] as const)('output that its reaper %s is told, if the code kills that', async (_state, lang, code) => {
    const { stdout, exitCode, stderr } = await agent.exec(lang, code)
    expect([stdout, exitCode, stderr]).toEqual(['begun', 137, expect.stringContaining('killed by signal 9')])
  })

  test('the cap holds for output of which a part was told before the code kills its reaper', async () => {
    const code = 'head -c 10485750 /dev/zero | tr "\\0" a; kill -STOP $PPID; printf %050d 0; kill -9 -1; sleep 60'
    const { stdout, stdoutTruncated } = await agent.exec('bash', code)
    expect([stdout.length, stdoutTruncated]).toEqual([10_485_760, true])
  })

  test('output that is not read yet is told at the deadline', async () => {
    let told = ''
    const code = 'kill -STOP $PPID; printf begun; sleep 60'
    const exec = agent.exec('bash', code, { timeoutMs: 1000, onStdout: (text) => void (told += text) })
    await expect(exec).rejects.toMatchObject({ code: 'timeout' })
    expect(told).toBe('begun')
  })
})
