// ARCHITECTURE.md is the map of the source. This file checks it against the tree.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const page = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
/** A file with an extension, or a folder with a slash at its end. */
const path = /^[a-z][\w-]*(?:\/[\w.-]+)*(?:\.(?:ts|py|sh|mjs|md)|\/)$/

/** Paths from the root of the repository. A section "Inside NAME" names them from that package's src. */
const named = page.split(/^## /m).flatMap((section) => {
  const [, inside] = /^Inside (\S+)\n/.exec(section) ?? []
  const words = section.match(/[^\s`()[\],;|]+/g) ?? []
  return words
    .filter((word) => path.test(word))
    .map((word) => {
      const bases = inside ? [`packages/${inside}/src/${word}`, word] : [`packages/${word}`, word]
      return { word, found: bases.find((base) => existsSync(join(root, base))) }
    })
})

test('every path that the page names exists', () => {
  expect(named.length).toBeGreaterThan(100)
  expect(named.filter(({ found }) => found === undefined).map(({ word }) => word)).toEqual([])
})

test('the page names every folder of packages/*/src and test/src', () => {
  const sources = [...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/src`), 'test/src']
  const inside = sources.flatMap((source) =>
    readdirSync(join(root, source), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${join(entry.parentPath, entry.name).slice(root.length)}/`),
  )
  const folders = [...inside, ...sources.filter((source) => source !== 'test/src').map((source) => `${source}/`)]
  expect(folders.length).toBeGreaterThan(30)
  const known = new Set(named.map(({ found }) => found))
  expect(folders.filter((folder) => !known.has(folder))).toEqual([])
})
