// Every package as npm would install it, used by a program outside the workspace, also as a plain user.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { installPackedPackages } from '../support/packed-packages.ts'
import { root } from '../support/server-process.ts'

let folder: string
let node: string

beforeAll(async () => {
  folder = await installPackedPackages()
  node = join(folder, 'node')
  copyFileSync(process.execPath, node)
  cpSync(join(root, 'test/fixture'), folder, { recursive: true })
}, 240_000)

async function run(args: string[], user?: { uid: number; gid: number }): Promise<string> {
  const home = join(folder, 'home')
  mkdirSync(home, { recursive: true })
  if (user) chownSync(home, user.uid, user.gid)
  const child = spawn(node, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: home, TMPDIR: home },
    ...user,
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (err += chunk))
  const [code] = await once(child, 'close')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

const used = {
  core: '4\n',
  langchain: '4',
  'ai-sdk': '4',
  mcp: '4',
  server: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/v1$/),
}

test('every package is packed and installed', () => {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const ours = Object.keys(dependencies).filter((name) => name.startsWith('@theazo/'))
  expect(ours.toSorted()).toEqual(['ai-sdk', 'core', 'langchain', 'mcp', 'server'].map((name) => `@theazo/${name}`))
})

test('each has its licence, its repository, and the sources that its maps name', () => {
  for (const name of ['ai-sdk', 'core', 'langchain', 'mcp', 'server']) {
    const path = join(folder, 'node_modules/@theazo', name)
    expect(readFileSync(join(path, 'LICENSE'), 'utf8')).toContain('Apache License')
    const { repository } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
    expect(repository).toMatchObject({ type: 'git', directory: `packages/${name}` })
    const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
    const maps = files.filter((file) => file.startsWith('dist/') && file.endsWith('.map'))
    expect(maps.length).toBeGreaterThan(5)
    const sources = maps.flatMap((map) => {
      const named: string[] = JSON.parse(readFileSync(join(path, map), 'utf8')).sources
      return named.map((source) => join(dirname(map), source))
    })
    expect([name, sources.filter((source) => !files.includes(source))]).toEqual([name, []])
    expect(files.filter((file) => /\.test(-d)?\.ts$/.test(file))).toEqual([])
  }
})

test('the packed packages work together on the pinned Node version and peers', async () => {
  expect(JSON.parse(await run(['use-packages.mjs']))).toMatchObject(used)
})

test.runIf(process.getuid?.() === 0)(
  'a plain user runs the same, and the sandbox is that user and no more',
  async () => {
    const user = { uid: 61_234, gid: 61_234 }
    const { uidMap, ...rest } = JSON.parse(await run(['use-packages.mjs'], user))
    expect(rest).toMatchObject(used)
    expect(uidMap.trim().split(/\s+/)).toEqual(['61234', '61234', '1'])
  },
)

/** Strict options for a program without a configuration. */
const strict = (
  '--noEmit --strict --exactOptionalPropertyTypes --skipLibCheck --target es2024 --module nodenext --types node ' +
  '--lib es2024,esnext.disposable,dom,dom.asynciterable'
).split(' ')
const tsc = (cwd: string, path: string) =>
  execFileSync(join(root, 'node_modules/.bin/tsc'), [...strict, path], { cwd, stdio: 'pipe' })

test('the types of the AI SDK adapter are exact on both majors', () => {
  tsc(folder, 'use-ai-sdk.ts')
  const older = join(folder, 'ai-6')
  mkdirSync(join(older, 'node_modules/@theazo'), { recursive: true })
  cpSync(join(folder, 'node_modules/@theazo/ai-sdk'), join(older, 'node_modules/@theazo/ai-sdk'), { recursive: true })
  symlinkSync(realpathSync(join(root, 'packages/ai-sdk/node_modules/ai-6')), join(older, 'node_modules/ai'))
  writeFileSync(join(older, 'package.json'), '{ "type": "module" }')
  copyFileSync(join(folder, 'use-ai-sdk.ts'), join(older, 'use-ai-sdk.ts'))
  tsc(older, 'use-ai-sdk.ts')
  // Control: the older major has no such export.
  writeFileSync(join(older, 'wrong.ts'), "import { isStepCount } from 'ai'\nisStepCount(1)\n")
  expect(() => tsc(older, 'wrong.ts')).toThrow('Command failed')
})

test('their types compile in a strict program', () => {
  tsc(folder, 'use-types.ts')
  // Control: the same compiler finds a wrong type.
  const wrong =
    "import { Theazo } from '@theazo/core'\nconst theazo = new Theazo()\nawait theazo.sessions.forUser(42)\n"
  writeFileSync(join(folder, 'wrong.ts'), wrong)
  expect(() => tsc(folder, 'wrong.ts')).toThrow('Command failed')
})
