// Code repeatedly removes all permissions from files that other execs of its agent need. These execs run, or fail with
// a clear error.
import { expect, test } from 'vitest'
import type { Agent, Language } from '@theazo/core'
import { allUsable, onEachServer, usable } from '../support/each-server.ts'

/** Python that removes permissions again and again, in the background. */
const closing = (paths: string): string => `
import subprocess, sys
code = '''
import os
while True:
    for path in ${paths}:
        try: os.chmod(path, 0)
        except OSError: pass
'''
out = subprocess.DEVNULL
subprocess.Popen([sys.executable, '-c', code], stdin=out, stdout=out, stderr=out, start_new_session=True)`

async function outcome(agent: Agent, lang: Language, code: string): Promise<string> {
  try {
    const { stdout, stderr, exitCode } = await agent.exec(lang, code)
    return `${exitCode} ${stdout}${stderr}`.trim()
  } catch (error) {
    const { status, message } = error as { status?: number; message: string }
    return status === 409 && message.includes('keeps closing') ? 'refused' : `${status} ${message}`
  }
}

onEachServer((server) => {
  test.each([
    ['the folder of all execs', "['/run/theazo']"],
    ['prepared scripts', "['/run/theazo/0%d/main.sh' % n for n in range(1, 20)]"],
    ['the folders of later execs', "['/run/theazo/%d' % n for n in range(3, 40)]"],
  ])(
    'an exec beside code that keeps removing permissions from %s runs or is refused, and other agents are unaffected',
    async (_what, paths) => {
      await using agent = await server.newAgent()
      await using other = await server.newAgent()
      expect(await outcome(agent, 'python', closing(paths))).toBe('0')
      for (let count = 0; count < 3; count += 1) {
        for (const [lang, code] of [
          ['bash', 'echo ok'],
          ['python', 'print("ok")'],
          ['typescript', 'console.log("ok")'],
        ] as const) {
          expect(['0 ok', 'refused']).toContain(await outcome(agent, lang, code))
        }
      }
      expect(await usable(other)).toEqual(allUsable)
      // This kills the reaper of the exec as well; the output contains a note about it.
      await expect.poll(async () => await outcome(agent, 'python', 'import os; os.kill(-1, 9)')).toMatch(/^137\b/)
      expect(await usable(agent)).toEqual(allUsable)
    },
  )

  test('a script with exit code 126 or 127 is not mistaken for an unreadable script', async () => {
    for (const code of ['exit 126', 'exit 127', 'chmod 0 $0; exit 126']) {
      expect(await outcome(server.agent, 'bash', code)).toBe(code.slice(-3))
    }
    const { exitCode, stderr } = await server.agent
      .exec('bash', 'mkdir -p closed; chmod 0 closed')
      .then(async () => await server.agent.exec('bash', 'echo in', { cwd: 'closed' }))
    expect([exitCode, stderr]).toEqual([126, expect.stringContaining('Permission denied')])
  })
})
