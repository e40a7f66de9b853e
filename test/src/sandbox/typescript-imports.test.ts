// TypeScript code imports the user's files with the names that compilers and bundlers accept.
import type { Agent } from '@theazo/core'
import { beforeAll, expect, test } from 'vitest'
import { withLocalAgent } from '../support/local-agent.ts'

let agent: Agent
withLocalAgent((opened) => void (agent = opened))
beforeAll(async () => {
  const files = {
    'lib.ts': 'enum Kind { Lib = "lib" }\nexport const name: string = Kind.Lib',
    'both.ts': 'export const name: string = "both.ts"',
    'both.js': 'export const name = "both.js"',
    'folder/index.ts': "export { name } from '../lib'",
    'deep/part.mts': "import { name as other } from './more.mjs'\nexport const name: string = `part and ${other}`",
    'deep/more.mts': 'export const name: string = "more"',
    'plain.js': 'export const name = "plain"',
    'old.cjs': 'exports.name = "old"',
    'data.json': '{ "name": "data" }',
    'with.dots.ts': 'export const name: string = "with dots"',
    'a b.ts': 'export const name: string = "a space"',
    'types.ts': 'export interface Shape { name: string }\nexport const value = 1',
    'shape.ts': "import { Shape } from './types.ts'\nexport const shape: Shape = { name: 'shape' }",
    'shape.mjs': "import { Shape } from './types.ts'",
  }
  for (const [path, text] of Object.entries(files)) await agent.files.write(path, text)
})

test.each([
  ["import { name } from './lib'", 'lib'],
  ["import { name } from './lib.ts'", 'lib'],
  ["import { name } from './lib.js'", 'lib'],
  ["import { name } from '/workspace/lib'", 'lib'],
  ["import { name } from 'file:///workspace/lib.js'", 'lib'],
  ["import { name } from './both.js'", 'both.js'],
  ["import { name } from './both.ts'", 'both.ts'],
  ["import { name } from './folder'", 'lib'],
  ["import { name } from './folder/'", 'lib'],
  ["import { name } from './folder/index'", 'lib'],
  ["import { name } from './deep/part'", 'part and more'],
  ["import { name } from './deep/part.mjs'", 'part and more'],
  ["import { name } from './plain'", 'plain'],
  ["import { name } from './old'", 'old'],
  ["import { name } from './with.dots'", 'with dots'],
  ["import { name } from './a b'", 'a space'],
  ["import data from './data.json'\nconst { name } = data", 'data'],
  ["import data from './data.json' with { type: 'json' }\nconst { name } = data", 'data'],
  ["import data from './data'\nconst { name } = data", 'data'],
  ["const { name } = await import('./lib')", 'lib'],
  ["const { name } = (await import('./data.json')).default", 'data'],
  ["const { name } = require('./lib')", 'lib'],
  ["const { name } = require('./lib.js')", 'lib'],
  ["const { name } = require('./folder')", 'lib'],
  ["const { name } = require('./data.json')", 'data'],
  ["const { name } = require('./data')", 'data'],
])('%s', async (code, name) => {
  const { stdout, stderr, exitCode } = await agent.exec('typescript', `${code}\nconsole.log(name)`)
  expect([stdout, stderr, exitCode]).toEqual([`${name}\n`, '', 0])
})

test.each([
  ["import './nothing'", /Cannot find module '\/workspace\/nothing' imported from .*main\.ts/],
  ["import './nothing.js'", /Cannot find module '\/workspace\/nothing\.js' imported from .*main\.ts/],
  ["require('./nothing')", /Cannot find module '\.\/nothing'/],
  ["import 'nothing'", /Cannot find package 'nothing' imported from .*main\.ts/],
])('%s reports the missing module', async (code, message) => {
  const { stderr, exitCode } = await agent.exec('typescript', code)
  expect([stderr, exitCode]).toEqual([expect.stringMatching(message), 1])
})

test.each([
  ["import { Shape } from './types.ts'", "import { type Shape } from './types.ts'"],
  ["import {\n  value,\n  Shape,\n} from './types'", "import { type Shape } from './types'"],
  ["enum Kind { A }\nimport { Shape } from './types.ts'", "import { type Shape } from './types.ts'"],
  ["export { Shape } from './types.ts'", "export { type Shape } from './types.ts'"],
  ["import { shape } from './shape.ts'", "import { type Shape } from './types.ts'"],
  ["await import('./shape.ts')", "import { type Shape } from './types.ts'"],
])('%s reports how to import a type', async (code, cure) => {
  const { stderr, exitCode } = await agent.exec('typescript', code)
  const [verb] = cure.split(' ')
  expect(stderr).toContain(
    `does not provide an export named 'Shape'\nIf 'Shape' is a type, ${verb} it as one: ${cure}. Types are removed before code runs.\n`,
  )
  expect(exitCode).toBe(1)
  const cured = await agent.exec('typescript', `${cure}\nconsole.log('ok')`)
  expect([cured.stdout, cured.stderr]).toEqual(['ok\n', ''])
})

test.each([
  ['JavaScript has no types', "import './shape.mjs'"],
  [
    'the program throws an error with the same text',
    "throw new SyntaxError(\"The requested module './a' does not provide an export named 'b'\")",
  ],
])('%s: nothing is added', async (_why, code) => {
  const { stderr, exitCode } = await agent.exec('typescript', code)
  expect(stderr).toContain('does not provide an export named')
  expect(stderr).not.toContain('is a type')
  expect(exitCode).toBe(1)
})
