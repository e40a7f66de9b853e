// The four programs of the root README are files that are compiled, so the README must show the same text.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const folder = join(root, 'examples/frameworks/src')

test('the README shows every program of examples/frameworks as it is, and no other', () => {
  const shown = Array.from(readme.matchAll(/^```ts\n([^]*?)^```$/gm), ([, program]) => program)
  const programs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  expect(programs.length).toBeGreaterThan(3)
  expect(shown.toSorted()).toEqual(programs.toSorted())
})
