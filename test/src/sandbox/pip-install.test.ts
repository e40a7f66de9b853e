// pip installs packages in a sandbox without a flag, and they stay until the agent ends.
import { spawnSync } from 'node:child_process'
import type { Agent } from '@theazo/core'
import { describe, expect, test } from 'vitest'
import { interpreterSettings } from './warm-interpreter-settings.ts'
import { withLocalAgent } from '../support/local-agent.ts'

/** Makes a wheel of one module with one console script, as `/workspace/wheels/NAME-1.0-py3-none-any.whl`. */
const makeWheel = (name: string): string => `
import os, zipfile
os.makedirs('wheels', exist_ok=True)
info = '${name}-1.0.dist-info'
files = {
    '${name}.py': 'def main(): print("${name} runs")',
    f'{info}/METADATA': 'Metadata-Version: 2.1\\nName: ${name}\\nVersion: 1.0\\n',
    f'{info}/WHEEL': 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',
    f'{info}/entry_points.txt': '[console_scripts]\\n${name}-script = ${name}:main\\n',
}
files[f'{info}/RECORD'] = ''.join(f'{path},,\\n' for path in [*files, f'{info}/RECORD'])
with zipfile.ZipFile('wheels/${name}-1.0-py3-none-any.whl', 'w') as wheel:
    for path, text in files.items(): wheel.writestr(path, text)`

const install = (name: string): string => `pip install --no-index --find-links wheels ${name}`
const hasPip = spawnSync('/usr/bin/python3', ['-m', 'pip', '--version']).status === 0

describe.runIf(hasPip).each(interpreterSettings)('interpreters: %s; pip', (_when, sandbox) => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox })

  test('installs a package that the same program can then import', async () => {
    const code = `${makeWheel('early')}
import subprocess, sys
try: import early
except ImportError: print('not there')
subprocess.run([sys.executable, '-m', *'${install('early')}'.split()], check=True, stdout=subprocess.DEVNULL)
import early
early.main()`
    const { stdout, stderr, exitCode } = await agent.exec('python', code)
    expect([stderr, exitCode, stdout]).toEqual(['', 0, 'not there\nearly runs\n'])
  })

  test('installs a package for later programs, and its scripts, in every language', async () => {
    const made = await agent.exec('python', makeWheel('probe'))
    expect(made).toMatchObject({ stderr: '', exitCode: 0 })
    expect(await agent.exec('bash', install('probe'))).toMatchObject({ stderr: '', exitCode: 0 })
    const programs = [
      ['python', 'import probe; probe.main(); print(probe.__file__)', {}],
      ['python', 'import probe; probe.main(); print(probe.__file__)', { PYTHONHASHSEED: '1' }],
      ['bash', 'probe-script; python3 -c "import probe; print(probe.__file__)"', {}],
      [
        'typescript',
        `import { execFileSync } from 'node:child_process'
process.stdout.write(execFileSync('probe-script', { encoding: 'utf8' }))
process.stdout.write(execFileSync('python3', ['-c', 'import probe; print(probe.__file__)'], { encoding: 'utf8' }))`,
        {},
      ],
    ] as const
    for (const [lang, code, env] of programs) {
      const { stdout, stderr } = await agent.exec(lang, code, { env })
      const place = /^probe runs\n\/home\/agent\/\.local\/lib\/python3\.\d+\/site-packages\/probe\.py\n$/
      expect([stderr, stdout]).toEqual(['', expect.stringMatching(place)])
    }
  })

  test('uninstalls a package', async () => {
    expect((await agent.exec('python', makeWheel('gone'))).exitCode).toBe(0)
    expect((await agent.exec('bash', `${install('gone')} && pip uninstall --yes gone`)).exitCode).toBe(0)
    expect((await agent.exec('python', 'import gone')).stderr).toContain("No module named 'gone'")
  })

  test('cannot replace a program of the system', async () => {
    const plant =
      'mkdir -p ~/.local/bin; printf "#!/bin/sh\\necho planted\\n" > ~/.local/bin/ls; chmod +x ~/.local/bin/ls'
    expect((await agent.exec('bash', `${plant}; type -P ls`)).stdout).not.toContain('.local')
  })
})
