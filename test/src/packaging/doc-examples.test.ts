// The examples of the docstrings compile, and what a user calls has one.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'
import { tscErrors } from './tsc-errors.ts'

const packageNames = readdirSync(join(root, 'packages'))

/** Every entry of the packages, e.g. `@theazo/core/pool`, with its exports at run time: functions, classes and values. */
const entries: Record<string, Record<string, unknown>> = {}
for (const name of packageNames) {
  const { exports } = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
  for (const path of Object.keys(exports).filter((path) => path !== './package.json')) {
    const entry = `@theazo/${name}${path.slice(1)}`
    entries[entry] = await import(entry)
  }
}

/** What an example may use without an import, as it may use what its own package exports. */
const given = {
  theazo: "import('@theazo/core').Theazo",
  session: "import('@theazo/core').Session",
  agent: "import('@theazo/core').Agent",
  run: "import('@theazo/core').Run",
  pool: "import('@theazo/core/pool').SandboxPool",
}

const sources = packageNames.flatMap((name) => {
  const folder = join(root, 'packages', name, 'src')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !/\.test(-d)?\.ts$/.test(path))
    .map((path) => ({ name: `@theazo/${name}`, path, text: readFileSync(join(folder, path), 'utf8') }))
})
const examples = sources.flatMap(({ name, path, text }) =>
  Array.from(
    text.matchAll(/^ *\* @example\n *\* ```(\w*)\n([^]*?)^ *\* ```$/gm),
    ({ 1: language, 2: body = '', index }) => {
      const code = body.replaceAll(/^ *\* ?/gm, '')
      return { name, path, line: text.slice(0, index).split('\n').length, language, code }
    },
  ),
)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-examples-'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  symlinkSync(join(root, 'test/node_modules'), join(folder, 'node_modules'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('every @example is a TypeScript block', () => {
  const tags = sources.flatMap(({ text }) => text.match(/^ *\* @example/gm) ?? [])
  expect(tags.length).toBeGreaterThan(10)
  expect(examples.map(({ language }) => language)).toEqual(tags.map(() => 'ts'))
})

test('every @example compiles', () => {
  for (const { name, path, line, code } of examples) {
    const file = join(folder, name, `${path.replaceAll('/', '_')}-line-${line}.ts`)
    mkdirSync(join(folder, name), { recursive: true })
    writeFileSync(file, ownImports(name, code) + code)
  }
  const names = Object.entries(given).map(([name, type]) => `declare const ${name}: ${type}\n`)
  writeFileSync(join(folder, 'given.d.ts'), names.join(''))
  // The control: the same compiler finds a wrong type in what is given.
  writeFileSync(join(folder, 'wrong.ts'), 'await theazo.sessions.forUser(42)\n')
  const typeRoots = [join(root, 'node_modules/@types')]
  expect(tscErrors(folder, { typeRoots })).toEqual([expect.stringMatching(/^wrong\.ts\(1,.*number/)])
})

/** An import of the exports of its own package that an example uses, on one line before it. */
function ownImports(packageName: string, code: string): string {
  const modules = Object.entries(entries).filter(
    ([entry]) => entry === packageName || entry.startsWith(`${packageName}/`),
  )
  const imports = modules.map(([entry, exported]) => {
    const names = Object.keys(exported).filter((name) => isUsed(name, code))
    return names.length > 0 ? `import { ${names.join(', ')} } from '${entry}'; ` : ''
  })
  return imports.join('')
}

function isUsed(name: string, code: string): boolean {
  const isDeclared = new RegExp(String.raw`import [^']*\b${name}\b|(?:const|function|class) ${name}\b`).test(code)
  return !isDeclared && new RegExp(String.raw`(?<![.'\w])${name}\b(?!['?]?:)`).test(code)
}

// Errors need none: a user catches them, and does not call them.
test('every exported function and class has an @example', () => {
  const missing = Object.entries(entries).flatMap(([entry, exported]) => {
    const ofPackage = sources.filter(({ name }) => entry === name || entry.startsWith(`${name}/`))
    return Object.entries(exported)
      .filter(([, value]) => typeof value === 'function' && !(value.prototype instanceof Error))
      .filter(([name]) => !ofPackage.some(({ text }) => documentationOf(name, text)?.includes('@example')))
      .map(([name]) => `${entry}: ${name}`)
  })
  expect(missing).toEqual([])
})

/** The docstring of an exported function; of a class also the docstrings of its methods. */
function documentationOf(name: string, text: string): string | undefined {
  const docstring = String.raw`/\*\*(?:(?!\*/)[^])*\*/\n(?://.*\n)*` // a `//` comment may follow it
  const aFunction = String.raw`export (?:async )?function\*? ${name}\b`
  const aClass = String.raw`export (?:abstract )?class ${name}\b[^]*?\n\}\n`
  return new RegExp(`(?:${docstring})?(?:${aFunction}|${aClass})`).exec(text)?.[0]
}
