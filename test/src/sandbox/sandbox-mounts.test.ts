// Packages that an operator mounts for all code.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Theazo, type Agent } from '@theazo/core'
import { createLocalTheazo, type ServerOptions } from '@theazo/server'
import { afterAll, describe, expect, test } from 'vitest'

// Below /tmp with public permissions, because agents' users read it.
const folder = mkdtempSync('/tmp/theazo-mounts-')
chmodSync(folder, 0o755)
afterAll(() => rmSync(folder, { recursive: true }))

async function withSandbox(sandbox: ServerOptions['sandbox'], use: (agent: Agent) => Promise<void>): Promise<void> {
  await using local = await createLocalTheazo({ sandbox })
  await use(await (await new Theazo(local).sessions.forUser('mounts')).agents.create())
}

test('Python and TypeScript import packages from a mounted folder and from /workspace, and cannot change the mounted folder', async () => {
  mkdirSync(join(folder, 'own/node_modules/given'), { recursive: true })
  writeFileSync(join(folder, 'own/given.py'), 'x = 40')
  writeFileSync(join(folder, 'own/node_modules/given/package.json'), '{ "name": "given", "main": "./index.cjs" }')
  writeFileSync(join(folder, 'own/node_modules/given/index.cjs'), 'exports.x = 41')
  const sandbox = {
    mounts: { '/opt/own': join(folder, 'own') },
    env: { PYTHONPATH: '/opt/own', NODE_PATH: '/opt/own/node_modules' },
  }
  await withSandbox(sandbox, async (agent) => {
    await agent.exec('bash', 'echo "y = 2" > mine.py')
    const both = 'import given, mine; print(given.x + mine.y)'
    expect(await agent.exec('python', both)).toMatchObject({ stdout: '42\n', stderr: '' })
    expect(await agent.exec('bash', `cd /tmp; python3 -c '${both}'`)).toMatchObject({ stdout: '42\n', stderr: '' })
    expect((await agent.exec('typescript', "console.log(require('given').x)")).stdout).toBe('41\n')
    expect((await agent.exec('bash', 'echo > /opt/own/new')).stderr).toMatch(/Read-only file system/)
    const env = { PYTHONPATH: '' } // an exec can override it
    expect((await agent.exec('python', both, { env })).stderr).toMatch(/No module named 'given'/)
  })
})

/** numpy with its dependencies, installed as in packages/server/README.md; undefined if apt cannot download it. */
function debianNumpy(): { mounts: Record<string, string>; env: Record<string, string> } | undefined {
  const downloads = join(folder, 'downloads')
  mkdirSync(downloads)
  const packages = ['python3-numpy', 'libblas3', 'liblapack3', 'libgfortran5', 'libquadmath0']
  const options = { cwd: downloads, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }
  if (spawnSync('/usr/bin/apt-get', ['download', ...packages], options).status !== 0) return undefined
  const out = join(folder, 'numpy')
  for (const name of readdirSync(downloads)) spawnSync('/usr/bin/dpkg', ['-x', name, out], options)
  const triplet = readdirSync(join(out, 'usr/lib')).find((name) => name.endsWith('-linux-gnu'))
  const libraries = ['', '/blas', '/lapack'].map((part) => `/opt/numpy/usr/lib/${triplet}${part}`)
  return {
    mounts: { '/opt/numpy': out },
    env: { PYTHONPATH: '/opt/numpy/usr/lib/python3/dist-packages', LD_LIBRARY_PATH: libraries.join(':') },
  }
}

const numpy = debianNumpy()
describe.skipIf(numpy === undefined)('a Debian package, unpacked into a folder', () => {
  test('numpy can be imported only if its folder is mounted', async () => {
    const code =
      'import numpy; print(numpy.linalg.solve(numpy.array([[2.0, 0], [0, 4]]), [2, 8]).tolist(), numpy.__file__)'
    await withSandbox(numpy, async (agent) => {
      const expected = '[1.0, 2.0] /opt/numpy/usr/lib/python3/dist-packages/numpy/__init__.py\n'
      expect(await agent.exec('python', code)).toMatchObject({ stdout: expected, stderr: '', exitCode: 0 })
      expect(await agent.exec('python', code)).toMatchObject({ stdout: expected, stderr: '', exitCode: 0 })
    })
    if (spawnSync('/usr/bin/python3', ['-c', 'import numpy']).status === 0) return // the machine has its own numpy
    await withSandbox({}, async (agent) => {
      expect((await agent.exec('python', code)).stderr).toMatch(/No module named 'numpy'/)
    })
  })
})
