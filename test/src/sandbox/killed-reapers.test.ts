// Output and errors of code that kills its reaper, which passes the output on; `kill -9 -1` does that.
import type { Agent } from '@theazo/core'
import { describe, expect, test } from 'vitest'
import { interpreterSettings } from './warm-interpreter-settings.ts'
import { withLocalAgent } from '../support/local-agent.ts'

describe.each(interpreterSettings)('interpreters: %s', (_when, sandbox) => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox })

  test('code that kills its reaper is ended, and its output reports that', async () => {
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
    ['has not read yet', 'bash', 'kill -STOP $PPID; printf begun; kill -9 -1; sleep 60'],
    ['buffers until the end of the line', 'python', untilHeld],
  ] as const)('output that the reaper %s is emitted if the code kills the reaper', async (_state, lang, code) => {
    const { stdout, exitCode, stderr } = await agent.exec(lang, code)
    expect([stdout, exitCode, stderr]).toEqual(['begun', 137, expect.stringContaining('killed by signal 9')])
  })

  test('the output limit applies to output that was partly emitted before the code kills its reaper', async () => {
    const code = 'head -c 10485750 /dev/zero | tr "\\0" a; kill -STOP $PPID; printf %050d 0; kill -9 -1; sleep 60'
    const { stdout, stdoutTruncated } = await agent.exec('bash', code)
    expect([stdout.length, stdoutTruncated]).toEqual([10_485_760, true])
  })

  test('output that was not read yet is emitted at the deadline', async () => {
    let received = ''
    const code = 'kill -STOP $PPID; printf begun; sleep 60'
    const exec = agent.exec('bash', code, { timeoutMs: 1000, onStdout: (text) => void (received += text) })
    await expect(exec).rejects.toMatchObject({ code: 'timeout' })
    expect(received).toBe('begun')
  })
})
