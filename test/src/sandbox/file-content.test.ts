// The types that agent.files.write and stdin accept, and lists of large folders, in a real sandbox.
import { createContext, runInContext } from 'node:vm'
import { Readable } from 'node:stream'
import type { Agent, ByteContent, StreamContent } from '@theazo/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { withLocalAgent } from '../support/local-agent.ts'

let agent: Agent
withLocalAgent((opened) => void (agent = opened))
beforeEach(async () => {
  await agent.exec('bash', 'find /workspace -mindepth 1 -delete')
})

const bytes = Uint8Array.from({ length: 300 }, (_, index) => index % 256)
const buffer = bytes.buffer
const inSharedMemory = (): SharedArrayBuffer => {
  const shared = new SharedArrayBuffer(bytes.length)
  new Uint8Array(shared).set(bytes)
  return shared
}
/** The same objects from another realm, for which instanceof is false. */
const foreign = (expression: string): ByteContent => {
  const context = createContext({ values: Array.from(bytes) })
  return runInContext(`const bytes = Uint8Array.from(values); ${expression}`, context) as ByteContent
}

const contents: [string, () => ByteContent | StreamContent][] = [
  ['a Uint8Array', () => bytes],
  ['a Buffer', () => Buffer.from(bytes)],
  ['an ArrayBuffer', () => buffer],
  ['a SharedArrayBuffer', inSharedMemory],
  ['a DataView', () => new DataView(buffer)],
  ['a view of a part', () => new Uint8Array([9, ...bytes, 9]).subarray(1, -1)],
  ['a Uint16Array', () => new Uint16Array(buffer)],
  ['a Blob', () => new Blob([bytes])],
  ['a File', () => new File([bytes], 'name')],
  ['a web stream', () => new Blob([bytes]).stream()],
  ['a Node stream', () => Readable.from([Buffer.from(bytes.subarray(0, 7)), Buffer.from(bytes.subarray(7))])],
  [
    'an async generator of text and bytes',
    async function* () {
      yield* [String.fromCharCode(...bytes.subarray(0, 128)), bytes.subarray(128)]
    },
  ],
  ['an ArrayBuffer of another realm', () => foreign('bytes.buffer')],
  ['a Uint8Array of another realm', () => foreign('bytes')],
]

describe('files.write', () => {
  test.each(contents)('accepts %s', async (_what, content) => {
    await agent.files.write('f', content())
    expect(await agent.files.read('f')).toEqual(bytes)
  })

  test.each([
    ['an array', [1, 2], 'Array'],
    ['a number', 7, 'Number'],
    ['null', null, 'Null'],
    ['undefined', undefined, 'Undefined'],
    ['an object', { a: 1 }, 'Object'],
    ['a promise', Promise.resolve('x'), 'Promise'],
  ])('refuses %s with an error that names the accepted types, and writes nothing', async (_what, content, tag) => {
    const write = agent.files.write('f', content as never) // JavaScript callers may send this
    await expect(write).rejects.toMatchObject({
      code: 'configuration_error',
      message: expect.stringMatching(new RegExp(`The content of f must be a string, an ArrayBuffer.*, not ${tag}`)),
    })
    expect(await agent.files.exists('f')).toBe(false)
  })

  test('writes a stream that is larger than one request in parts', async () => {
    const piece = new Uint8Array(1_500_000).fill(7)
    await agent.files.write('big', Readable.from([piece, piece, piece, new Uint8Array([1])]))
    expect((await agent.exec('bash', 'stat -c %s big; tail -c 2 big | od -An -tu1')).stdout).toBe('4500001\n   7   1\n')
  })

  test('a stream that fails, or an abort while it waits, leaves the old file and nothing else', async () => {
    await agent.files.write('f', 'old')
    const fault = new Error('the disk is gone')
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(5_000_000)
      throw fault
    }
    await expect(agent.files.write('f', failing())).rejects.toBe(fault)

    const abort = new AbortController()
    const reason = new Error('enough')
    let isCancelled = false
    const silent = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(10)),
      pull: () => abort.abort(reason),
      cancel: () => void (isCancelled = true),
    })
    await expect(agent.files.write('f', silent, { signal: abort.signal })).rejects.toBe(reason)
    expect(isCancelled).toBe(true)
    expect((await agent.exec('bash', 'cat f; ls -A')).stdout).toBe('oldf\n')
  })
})

test.each(contents.slice(0, 9))('stdin accepts %s', async (_what, content) => {
  const { stdout } = await agent.exec('bash', 'sha256sum', { stdin: content() as ByteContent })
  const sum = (await agent.exec('bash', 'sha256sum', { stdin: bytes })).stdout
  expect(stdout).toBe(sum)
})

describe('files.list of a large folder', () => {
  test('is read in pages that fit one exec output, each entry once and in order', async () => {
    // 5,000 names of 250 characters that each take six bytes in JSON, and more names in a folder between them.
    await agent.exec(
      'python',
      `import os
for i in range(5000): open(f"{i:05d}{'é' * 115}", 'w').close()
os.mkdir('02500-folder')
for i in range(3): open(f'02500-folder/{i}', 'w').close()`,
    )
    const listed = await agent.files.list('.', { isRecursive: true })
    const names = listed.map(({ name }) => name)
    expect(names).toHaveLength(5004)
    expect(new Set(names).size).toBe(5004)
    const at = names.indexOf('02500-folder')
    expect(names.slice(at, at + 4)).toEqual(['02500-folder', '02500-folder/0', '02500-folder/1', '02500-folder/2'])
    expect([names[0]?.slice(0, 5), names.at(-1)?.slice(0, 5)]).toEqual(['00000', '04999'])
    expect(listed[at + 1]?.path).toBe('/workspace/02500-folder/0')
    const few = await agent.files.list('.', { isRecursive: true, limit: at + 2 })
    expect(few.map(({ name }) => name)).toEqual(names.slice(0, at + 2))
  })

  test('a limit that is not a whole number is refused', async () => {
    for (const limit of [-1, 1.5, Number.NaN, Infinity]) {
      await expect(agent.files.list('.', { limit })).rejects.toMatchObject({ code: 'configuration_error' })
    }
  })

  test('more than 10,000 entries need a limit, which may be higher than 10,000', async () => {
    await agent.exec('python', "for i in range(10002): open(f'{i}', 'w').close()")
    await expect(agent.files.list()).rejects.toMatchObject({ code: 'file_too_large' })
    expect(await agent.files.list('.', { limit: 10_001 })).toHaveLength(10_001)
    expect(await agent.files.list('.', { limit: 0 })).toEqual([])
  })

  test('the root folder and a folder by a relative path have absolute paths', async () => {
    await agent.files.write('a/b', '')
    expect(await agent.files.list('a/../a')).toMatchObject([{ name: 'b', path: '/workspace/a/b' }])
    expect((await agent.files.list('/')).find(({ name }) => name === 'workspace')?.path).toBe('/workspace')
    expect(await agent.files.stat('/')).toMatchObject({ path: '/', type: 'directory' })
  })
})
