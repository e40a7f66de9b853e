// Rules of this repository that no linter checks.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const sources = execFileSync(
  'find',
  [
    'packages',
    'examples',
    'test',
    'scripts',
    '-name',
    'node_modules',
    '-prune',
    '-o',
    '-name',
    'dist',
    '-prune',
    '-o',
    '-type',
    'f',
    '(',
    '-name',
    '*.ts',
    '-o',
    '-name',
    '*.mjs',
    ')',
    '-print',
  ],
  {
    cwd: root,
    encoding: 'utf8',
  },
)
  .trim()
  .split('\n')
  .filter((path) => !path.startsWith('test/fixture/official-sdk/')) // third-party code; see its README
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

test('the checks find source files', () => {
  expect(sources.length).toBeGreaterThan(50)
})

test('no source file is over 300 lines without a reason on its first line, and none over 500', () => {
  const long = sources
    .filter(({ path }) => !path.endsWith('.test.ts'))
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1, reason: text.startsWith('//') }))
    .filter(({ lines, reason }) => lines > 500 || (lines > 300 && !reason))
  expect(long).toEqual([])
})

test('exports are listed by name', () => {
  const stars = sources.filter(({ text }) => /^export \*/m.test(text)).map(({ path }) => path)
  expect(stars).toEqual([])
})

test('the root entry of core imports no Node modules', () => {
  const core = sources.filter(({ path }) => /^packages\/core\/src\/(?!.*\.test\.ts)/.test(path))
  expect(core.length).toBeGreaterThan(8)
  expect(core.filter(({ text }) => /from 'node:/.test(text)).map(({ path }) => path)).toEqual([])
})

test('adapters import core and never each other, and only the MCP bin loads the server', () => {
  const imports = sources
    .filter(({ path }) => path.startsWith('packages/') && !path.endsWith('.test.ts'))
    .flatMap(({ path, text }) => {
      const from = path.split('/')[1] ?? ''
      const code = text.replaceAll(/^ *\*.*$/gm, '') // examples in docstrings import the package itself
      return Array.from(code.matchAll(/(?:from|import\()\s*'@theazo\/([\w-]+)/g), ([, to]) => `${from} -> ${to}`)
    })
  expect([...new Set(imports)].toSorted()).toEqual([
    'ai-sdk -> core',
    'langchain -> core',
    'mcp -> core',
    'mcp -> server',
    'server -> core',
  ])
})
