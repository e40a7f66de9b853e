// The packed @theazo/langchain with the oldest versions of its peers. All other tests use the newest ones.
import { execFile, execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { listenTheazo } from '@theazo/server'
import { expect, test } from 'vitest'
import { installPackedPackages } from '../support/packed-packages.ts'
import { root } from '../support/server-process.ts'

/** Dependencies of the program that are no peers: the oldest version that the oldest peers accept. */
const others = { '@langchain/langgraph': '1.3.0' }

test('works with the oldest versions that its package.json accepts', async () => {
  const packed = await installPackedPackages()
  const folder = mkdtempSync(join(tmpdir(), 'theazo-peers-'))
  const { peerDependencies } = JSON.parse(readFileSync(join(root, 'packages/langchain/package.json'), 'utf8'))
  const oldest = Object.entries({ ...peerDependencies, ...others }).map(([name, range]) => [
    name,
    String(range).split('||').at(-1)?.trim().replace('^', ''),
  ])
  const own = ['core', 'langchain'].map((name) => [
    `@theazo/${name}`,
    `file:${packed}/tarballs/theazo-${name}-0.0.0.tgz`,
  ])
  const dependencies = Object.fromEntries([...oldest, ...own])
  // The peers' own peers may name other versions; one copy of each is what a user has.
  const manifest = { private: true, type: 'module', dependencies, overrides: { '@langchain/core': '$@langchain/core' } }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  copyFileSync(join(root, 'test/fixture/use-langchain.mjs'), join(folder, 'use-langchain.mjs'))
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--legacy-peer-deps']
  execFileSync('npm', ['install', ...flags], { cwd: folder, stdio: 'pipe' })
  const versions = Object.fromEntries(oldest.map(([name = '']) => [name, versionIn(folder, name)]))
  expect(versions).toEqual(Object.fromEntries(oldest))

  await using server = await listenTheazo({ port: 0 })
  const env = { ...process.env, THEAZO_API_KEY: server.apiKey, THEAZO_BASE_URL: String(server.url) }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['use-langchain.mjs'], { cwd: folder, env })
  expect([stderr, JSON.parse(stdout || '{}')]).toEqual([
    '',
    {
      toolNode: '42\n',
      streamed: '42\n',
      createAgent: ['42'],
      middleware: ['42'],
      deepagents: ['42\n\n[Command succeeded with exit code 0]'],
      repaired: 2,
    },
  ])
  rmSync(folder, { recursive: true })
}, 240_000)

test('the types of the package name only its own dependencies', () => {
  const folder = join(root, 'packages/langchain')
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const files = readdirSync(join(folder, 'dist'), { recursive: true }).map(String)
  const texts = files
    .filter((file) => file.endsWith('.d.ts'))
    .map((file) => readFileSync(join(folder, 'dist', file), 'utf8'))
  const named = texts.flatMap((text) =>
    Array.from(text.matchAll(/^(?!\s*\*).*(?:from |import\()["']((?:@[\w-]+\/)?[\w-]+)/gm), ([, name = '']) => name),
  )
  expect(named).toContain('@langchain/core')
  expect(named.filter((name) => !(name in { ...dependencies, ...peerDependencies }))).toEqual([])
})

function versionIn(folder: string, name: string): string {
  return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version
}
