// Every code block of every README works as its text states. A block that cannot be run has a comment with the reason on
// the line before it: <!-- not run: needs a real OpenAI key -->.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { installPackedPackages } from '../support/packed-packages.ts'
import { root, startServer } from '../support/server-process.ts'
import { blocksOf, type ReadmeBlock, readmePaths } from './readme-blocks.ts'
import { programOf } from './readme-program.ts'
import { ReadmeWalk } from './readme-walk.ts'
import { tscErrors } from './tsc-errors.ts'

const readmes = readmePaths().map((readme) => ({ readme, blocks: blocksOf(readme) }))
const all = readmes.flatMap(({ blocks }) => blocks)

let packed: string
beforeAll(async () => {
  packed = await installPackedPackages()
}, 480_000)

test('there are blocks of each kind', () => {
  expect([...new Set(all.map(({ kind }) => kind))].toSorted()).toEqual([
    'component',
    'json',
    'output',
    'program',
    'shell',
  ])
})

test('these blocks, and no others, are not run', () => {
  const notRun = all.filter((block) => block.notRun !== undefined)
  expect(notRun.map(({ readme, notRun }) => `${readme}: ${notRun}`)).toEqual([
    'README.md: the tests themselves are one of these commands; quickstart.test.ts runs the other',
    'packages/ai-sdk/README.md: needs a server with an agent loop',
    'packages/core/README.md: needs a server with an agent loop',
    'packages/langchain/README.md: needs a server with an agent loop; test/src/adapters/langchain/run-task.test.ts runs one',
    'packages/server/README.md: changes the machine',
    'packages/server/README.md: needs a real key',
    'packages/server/README.md: needs the two MCP servers',
    'packages/server/README.md: changes the machine, and needs a network',
    'packages/server/README.md: needs the folder of the block before it; sandbox-mounts.test.ts runs the same',
    'examples/chat/README.md: src/main.test.ts starts the same program',
    'examples/claude-desktop/README.md: README.md starts the same server',
    'examples/claude-desktop/README.md: mcp-bundle.test.ts builds the bundle in a folder of its own',
  ])
})

test('each block runs, in the order of its README', async () => {
  const args = [join(packed, 'node_modules/@theazo/server/dist/bin.js'), 'serve', '--port', '0', '--json']
  await using server = await startServer(process.execPath, args)
  const failures: string[] = []
  const waiting = readmes.values()
  // Two at a time: each program starts a server of its own, and they slow each other down.
  const walks = [1, 2].map(async () => {
    for (const { blocks } of waiting) failures.push(...(await failuresOf(blocks, server)))
  })
  await Promise.all(walks)
  expect(failures).toEqual([])
}, 600_000)

/** Continues after a failed block, so that one run reports all of them. */
async function failuresOf(blocks: readonly ReadmeBlock[], server: { url: string; apiKey: string }): Promise<string[]> {
  const failures: string[] = []
  const isRun = ({ kind, notRun }: ReadmeBlock): boolean => {
    return kind !== 'output' && kind !== 'component' && notRun === undefined // use-chat.test.ts runs the component
  }
  await using walk = await ReadmeWalk.start(blocks, { packed, server })
  for (const block of blocks.filter(isRun)) {
    const step = inTime(walk.run(block), 100_000)
    await step.catch((error: unknown) => failures.push(`${block.readme}:${block.line}: ${String(error)}`))
  }
  return failures
}

/** Rejects if the step takes longer. The report then names the line of a step that hangs, not only the whole test. */
async function inTime(step: Promise<void>, timeoutMs: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`took longer than ${timeoutMs} ms`)), timeoutMs)
  await Promise.race([step, promise]).finally(() => clearTimeout(timer))
}

test('each TypeScript block is a correct program, also if it is not run', () => {
  const folder = join(packed, 'readme-types')
  mkdirSync(folder)
  for (const { readme, line, language, kind, text } of all) {
    if (!['program', 'component'].includes(kind) || !language.startsWith('t')) continue
    const name = `${readme.replaceAll(/\W+/g, '-')}-line-${line}.${language === 'tsx' ? 'tsx' : 'ts'}`
    writeFileSync(join(folder, name), programOf(text))
  }
  // The control: the same compiler finds a wrong type.
  writeFileSync(join(folder, 'wrong.ts'), programOf('await theazo.sessions.forUser(42)\n'))
  // LangChain's own types do not accept this flag.
  expect(tscErrors(folder, { exactOptionalPropertyTypes: false, jsx: 'react-jsx' })).toEqual([
    expect.stringMatching(/^wrong\.ts\(1,.*number/),
  ])
})

// These programs are files, so that `npm run` in that folder starts them.
test.each([
  ['README.md', 'frameworks'],
  ['packages/langchain/README.md', 'langchain'],
])('%s shows every program of examples/%s as it is, and no other', (readme, example) => {
  const folder = join(root, 'examples', example, 'src')
  const programs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  const shown = all.filter((block) => block.readme === readme && block.kind === 'program').map(({ text }) => text)
  expect(programs.length).toBeGreaterThan(3)
  expect(shown.toSorted()).toEqual(programs.toSorted())
})

test('each shell block is correct shell, also if it is not run', () => {
  const shell = all.filter(({ kind }) => kind === 'shell')
  const results = shell.map(({ readme, line, text }) => [readme, line, spawnSync('bash', ['-n', '-c', text]).status])
  expect(results).toEqual(shell.map(({ readme, line }) => [readme, line, 0]))
})

test('the install command of a README names every package that its programs import', () => {
  for (const { readme, blocks } of readmes) {
    const commands = blocks.flatMap(({ kind, text }) =>
      kind === 'shell' ? (text.match(/^npm install .+$/gm) ?? []) : [],
    )
    if (commands.length === 0) continue
    const installed = commands.flatMap((command) => command.split(/\s+/).slice(2))
    const imported = blocks.flatMap(({ kind, text }) =>
      kind === 'program' || kind === 'component'
        ? Array.from(text.matchAll(/from '(?!node:)((?:@[\w-]+\/)?[\w-]+)/g), ([, name]) => name)
        : [],
    )
    const missing = [...new Set(imported)].filter((name) => name && !isInstalled(name, installed))
    expect([readme, missing]).toEqual([readme, []])
  }
})

/** A command may also name tarballs that it has packed before: `./theazo-*.tgz` is every package of ours. */
function isInstalled(name: string, installed: readonly string[]): boolean {
  return (
    installed.includes(name) || (name.startsWith('@theazo/') && installed.some((item) => /theazo-.*\.tgz$/.test(item)))
  )
}
