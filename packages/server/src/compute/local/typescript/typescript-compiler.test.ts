// The thread that takes types out of programs: what it gives, and what becomes of who keeps it too long.
import { expect, test } from 'vitest'
import { TypeScriptCompiler } from './typescript-compiler.ts'

const owner = {}
/** Long enough for a busy machine. */
const patient = { wait: 30_000, limit: 10_000 }
/** One whose thread has started. */
async function started(program?: URL, times = patient): Promise<TypeScriptCompiler> {
  const compiler = new TypeScriptCompiler(program, times)
  await isReady(compiler)
  return compiler
}
async function isReady(compiler: TypeScriptCompiler): Promise<void> {
  await expect.poll(() => compiler.compile('4', {})).toEqual({ mode: 'strip', source: '4' })
}
/** A thread that is kept busy by what is no program, and ends where it is told to. */
const odd = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads'
    parentPort.on('message', (code) => {
      if (code === 'end') process.exit(0)
      if (code === 'throw') throw new Error('as told')
      while (code === 'busy');
      parentPort.postMessage({ mode: 'strip', source: code })
    })
    parentPort.postMessage('ready')`)}`,
)

test('types become blanks where that is enough', async () => {
  await using compiler = await started()
  const code = 'const four: number = 4\nconsole.log(four as unknown)\n'
  const compiled = await compiler.compile(code, owner)
  expect(compiled).toEqual({
    mode: 'strip',
    source: expect.stringMatching(/^const four {9}= 4\nconsole\.log\(four {11}\)\n$/),
  })
  expect(compiled?.source).toHaveLength(code.length)
})

test('what needs more is transformed, with a map', async () => {
  await using compiler = await started()
  expect(await compiler.compile('enum A { B }', owner)).toEqual({
    mode: 'transform',
    source: expect.stringMatching(/^var A = [^]*\n\/\/# sourceMappingURL=data:application\/json;base64,\S+\s*$/),
  })
})

test('what is wrong, or too long, is left to the sandbox; so is what is not done in time', async () => {
  await using compiler = await started()
  expect(await compiler.compile('const = 4', owner)).toBeUndefined()
  expect(await compiler.compile('enum A { B', owner)).toBeUndefined()
  expect(await compiler.compile(`//${'x'.repeat(256 * 1024)}`, owner)).toBeUndefined()
  await using first = new TypeScriptCompiler(undefined, patient)
  expect(await first.compile('4', owner)).toBeUndefined() // its thread has not started
  await using impatient = await started(odd, { wait: 200, limit: 10_000 })
  expect(await impatient.compile('busy', owner)).toBeUndefined()
  expect(await compiler.compile('4', owner)).toEqual({ mode: 'strip', source: '4' })
})

test('a hundred at once are told apart', async () => {
  await using compiler = await started()
  const all = Array.from({ length: 100 }, (_, number) => compiler.compile(`const n: number = ${number}`, owner))
  expect((await Promise.all(all)).map((compiled) => compiled?.source)).toEqual(
    Array.from({ length: 100 }, (_, number) => `const n         = ${number}`),
  )
})

test('who keeps it too long is not compiled for any more; others are', async () => {
  await using compiler = await started(odd, { wait: 30_000, limit: 1000 })
  const other = {}
  const [busy, behind] = [compiler.compile('busy', owner), compiler.compile('behind', other)]
  expect([await busy, await behind]).toEqual([undefined, undefined])
  await isReady(compiler)
  expect(await compiler.compile('again', owner)).toBeUndefined()
  expect(await compiler.compile('other', other)).toEqual({ mode: 'strip', source: 'other' })
})

test.each(['end', 'throw'])('a thread that ends by %s is replaced', async (how) => {
  await using compiler = await started(odd)
  expect(await compiler.compile(how, owner)).toBeUndefined()
  await isReady(compiler)
})
