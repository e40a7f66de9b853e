// The report of `theazo-server doctor`. Each requirement is also broken on purpose, and the report must show it.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalTheazo } from '@theazo/server'
import { Theazo } from '@theazo/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { canMount } from '../support/can-mount.ts'
import { root } from '../support/server-process.ts'

const bin = join(root, 'packages/server/dist/bin.js')

interface Finding {
  name: string
  state: 'ok' | 'absent' | 'missing'
  says: string
  fix?: string
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-doctor-'))
  chmodSync(folder, 0o755)
})
afterEach(() => rmSync(folder, { recursive: true }))

/** @param wrap a command that runs doctor in a changed environment. */
function doctor(args: string[] = [], env: Record<string, string> = {}, wrap: string[] = []) {
  const [command = '', ...rest] = [...wrap, process.execPath, bin, 'doctor', '--json', ...args]
  const { status, stdout, stderr } = spawnSync(command, rest, { encoding: 'utf8', env: { ...process.env, ...env } })
  const findings = JSON.parse(stdout || `["${stderr}"]`) as Finding[]
  return { status, finding: (name: string) => findings.find((found) => found.name === name) }
}

/** Puts a program of this name first in the PATH. */
function fake(name: string, script: string): Record<string, string> {
  writeFileSync(join(folder, name), `#!/bin/bash\n${script}\n`, { mode: 0o755 })
  return { PATH: `${folder}:${process.env['PATH']}` }
}

/** Runs in a separate mount namespace that hides this path. */
const hiding = (path: string): string[] => [
  'unshare',
  '--mount',
  '--propagation',
  'private',
  '/bin/bash',
  '-c',
  `mount --bind /dev/null ${path} && exec "$@"`,
  'bash',
]

test('this machine meets all requirements of serve, and the reported versions match those in a sandbox', async () => {
  const { status, finding } = doctor(['--data-dir', folder])
  expect(status).toBe(0)
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('doctor')
  await using agent = await session.agents.create()
  const inside = async (code: string): Promise<string> => (await agent.exec('bash', code)).stdout.trim()
  const version = execFileSync('/usr/bin/env', ['bwrap', '--version'], { encoding: 'utf8' }).trim()
  const python = await agent.exec('python', 'import platform; print(platform.python_version())')
  expect(finding('node')).toEqual({ name: 'node', state: 'ok', says: process.version })
  expect(finding('bubblewrap')).toMatchObject({ state: 'ok', says: version })
  expect(finding('python')).toMatchObject({ state: 'ok', says: python.stdout.trim() })
  expect(finding('typescript')).toMatchObject({ state: 'ok', says: `node ${process.version}` })
  expect(finding('bash')).toMatchObject({ state: 'ok', says: await inside('echo $BASH_VERSION') })
  expect(finding('isolation')?.says).toMatch(/^a sandbox runs as uid [1-9]\d* and sees \d processes$/)
  expect(finding('network')).toMatchObject({ state: 'ok' })
  const limits = await inside('echo "$(ulimit -u) processes, $(ulimit -n) open files"')
  expect(finding('limit: exec')).toMatchObject({ state: 'ok', says: expect.stringContaining(limits) })
  expect(finding('data folder')).toMatchObject({ state: 'ok', says: expect.stringContaining(folder) })
  expect(finding('storage metering')).toMatchObject({ state: 'ok' })
})

test('the reported providers and models match the answers of the API', async () => {
  const { finding } = doctor()
  await using local = await createLocalTheazo()
  const { key } = await local.keys.create({ mode: 'test', plan: 'team' })
  const [live, mocked] = [new Theazo(local), new Theazo({ ...local, apiKey: key })]
  const [own, test] = [await live.sessions.forUser('u'), await mocked.sessions.forUser('u')]
  for (const provider of ['local', 'docker', 'e2b', 'fly']) {
    const made = await own.agents.create({ compute: { provider } }).then(
      () => 'ok',
      ({ status }: { status: number }) => (status === 422 ? 'absent' : status),
    )
    expect([provider, finding(`provider: ${provider}`)?.state]).toEqual([provider, made])
  }
  const [agent, mock] = [await own.agents.create(), await test.agents.create()]
  expect(finding('models: live keys')?.state).toBe('absent')
  await expect(agent.run('x').result()).rejects.toMatchObject({ status: 422 })
  expect(finding('models: test keys')?.state).toBe('ok')
  expect((await mock.run('x').result()).output).toContain('x')
})

describe('the report shows', () => {
  test('an old Node', () => {
    // The machine's Node if it is older; otherwise a script that claims an old version.
    const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } })`
    writeFileSync(join(folder, 'old.cjs'), pretend)
    const { status, finding } = doctor([], { NODE_OPTIONS: `--require ${join(folder, 'old.cjs')}` })
    expect(status).toBe(1)
    expect(finding('node')).toMatchObject({ state: 'missing', fix: expect.stringContaining('22.18') })
  })

  test('no bubblewrap, or a bubblewrap that does not run', () => {
    const none = doctor([], { PATH: folder })
    expect([none.status, none.finding('bubblewrap')]).toMatchObject([
      1,
      { state: 'missing', says: 'bwrap is not in the PATH', fix: expect.stringContaining('apt-get install') },
    ])
    expect(none.finding('isolation')?.state).toBe('missing')
    const broken = doctor([], fake('bwrap', 'echo it is broken >&2; exit 1'))
    expect(broken.finding('bubblewrap')).toMatchObject({ state: 'missing', says: expect.stringContaining('broken') })
  })

  test('a bubblewrap that cannot isolate', () => {
    const script = '[[ $1 == --version ]] && echo bubblewrap 0.0.1 && exit\necho no user namespaces >&2; exit 1'
    const { status, finding } = doctor([], fake('bwrap', script))
    expect([status, finding('bubblewrap')?.state, finding('isolation')?.state]).toEqual([1, 'ok', 'missing'])
    expect(finding('isolation')?.says).toContain('no user namespaces')
  })

  // Only a user that may mount can hide a system file from a program.
  test.runIf(canMount)('no Python', () => {
    const { status, finding } = doctor([], {}, hiding('$(readlink -f /usr/bin/python3)'))
    expect([status, finding('bubblewrap')?.state]).toEqual([1, 'ok'])
    expect(finding('isolation')).toMatchObject({ state: 'missing', says: expect.stringContaining('python3') })
  })

  test.runIf(canMount)('no program to measure storage', () => {
    const { status, finding } = doctor([], {}, [
      ...hiding('/usr/bin/du').slice(0, -2),
      'mount --bind /dev/null /usr/bin/du && mount -o remount,bind,noexec /usr/bin/du && exec "$@"',
      'bash',
    ])
    expect([status, finding('storage metering')]).toMatchObject([0, { state: 'absent' }])
  })

  test('a data folder that does not exist, is not a data folder, or is not given', () => {
    const path = join(folder, 'data')
    expect(doctor(['--data-dir', path]).finding('data folder')).toMatchObject({
      state: 'absent',
      fix: 'serve makes it',
    })
    writeFileSync(path, '')
    const { status, finding } = doctor(['--data-dir', path])
    expect([status, finding('data folder')]).toMatchObject([1, { state: 'missing', says: `${path} is not a folder` }])
    const below = doctor(['--data-dir', join(path, 'new/folder')])
    expect([below.status, below.finding('data folder')]).toMatchObject([1, { says: `${path} is not a folder` }])
    expect(doctor().finding('data folder')?.state).toBe('absent')
    expect(readdirSync(folder)).toEqual(['data']) // doctor creates nothing
  })
})

test('an unknown argument is refused', () => {
  const { status, stderr } = spawnSync(process.execPath, [bin, 'doctor', folder], { encoding: 'utf8' })
  expect([status, stderr]).toEqual([1, `theazo-server: doctor accepts no argument ${folder}\n`])
})

test(
  'idle agents of a data folder are counted, with the number of those without an idle timeout',
  { timeout: 120_000 },
  async () => {
    const dataDir = join(folder, 'data')
    const idle = () => doctor(['--data-dir', dataDir]).finding('idle agents')
    {
      await using local = await createLocalTheazo({ dataDir })
      const session = await new Theazo(local).sessions.forUser('doctor')
      await session.agents.create({ idleTimeout: { seconds: 600, action: 'pause' } })
      const forgotten = await session.agents.create()
      expect(idle()).toMatchObject({ state: 'absent', says: expect.stringMatching(/^2, of which 1 without/) }) // it runs
      await forgotten.terminate()
    }
    expect(idle()).toMatchObject({ state: 'ok', says: '1, each with an idleTimeout' })
    writeFileSync(join(dataDir, 'theazo.db'), 'no database')
    expect(idle()).toMatchObject({ state: 'absent', says: expect.stringContaining('cannot be read') })
  },
)
