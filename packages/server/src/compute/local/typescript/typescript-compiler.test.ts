// The thread that removes types from programs: its results, and its handling of programs that take too long.
import { expect, test } from 'vitest'
import { TypeScriptCompiler } from './typescript-compiler.ts'

const owner = {}
/** Long enough for a busy machine. */
const patient = { wait: 30_000, limit: 10_000 }
/** A compiler whose thread has started. */
async function started(program?: URL, times = patient): Promise<TypeScriptCompiler> {
  const compiler = new TypeScriptCompiler(program, times)
  await isReady(compiler)
  return compiler
}
async function isReady(compiler: TypeScriptCompiler): Promise<void> {
  await expect.poll(() => compiler.compile('4', {})).toEqual({ mode: 'strip', source: '4' })
}
/** A thread that treats a few words as commands: to be busy forever, to end, or to throw. */
const odd = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads'
    parentPort.on('message', (code) => {
      if (code === 'end') process.exit(0)
      if (code === 'throw') throw new Error('as requested')
      while (code === 'busy');
      parentPort.postMessage({ mode: 'strip', source: code })
    })
    parentPort.postMessage('ready')`)}`,
)

test('types are replaced by blanks if that is enough', async () => {
  await using compiler = await started()
  const code = 'const four: number = 4\nconsole.log(four as unknown)\n'
  const compiled = await compiler.compile(code, owner)
  expect(compiled).toEqual({
    mode: 'strip',
    source: expect.stringMatching(/^const four {9}= 4\nconsole\.log\(four {11}\)\n$/),
  })
  expect(compiled?.source).toHaveLength(code.length)
})

test('a program with an enum is transformed, with a source map', async () => {
  await using compiler = await started()
  expect(await compiler.compile('enum A { B }', owner)).toEqual({
    mode: 'transform',
    source: expect.stringMatching(/^var A = [^]*\n\/\/# sourceMappingURL=data:application\/json;base64,\S+\s*$/),
  })
})

test('leaves a program to the sandbox if it is invalid, too long, or not done in time', async () => {
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

test('a hundred concurrent programs get their own results', async () => {
  await using compiler = await started()
  const all = Array.from({ length: 100 }, (_, number) => compiler.compile(`const n: number = ${number}`, owner))
  expect((await Promise.all(all)).map((compiled) => compiled?.source)).toEqual(
    Array.from({ length: 100 }, (_, number) => `const n         = ${number}`),
  )
})

test('rejects an owner whose program took too long, but compiles for others', async () => {
  await using compiler = await started(odd, { wait: 30_000, limit: 1000 })
  const other = {}
  const [busy, behind] = [compiler.compile('busy', owner), compiler.compile('behind', other)]
  expect([await busy, await behind]).toEqual([undefined, undefined])
  await isReady(compiler)
  expect(await compiler.compile('again', owner)).toBeUndefined()
  expect(await compiler.compile('other', other)).toEqual({ mode: 'strip', source: 'other' })
})

test.each(['end', 'throw'])('replaces a thread that ends by %s', async (how) => {
  await using compiler = await started(odd)
  expect(await compiler.compile(how, owner)).toBeUndefined()
  await isReady(compiler)
})
