// The files of a real local sandbox, through exec: names, contents, links, permissions and unusual files.
import { createHash, randomBytes } from 'node:crypto'
import { type Agent, type FileHost, SandboxFiles, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isSoak } from '../support/soak.ts'

let local: LocalTheazo
let agent: Agent
let files: SandboxFiles

beforeAll(async () => {
  local = await createLocalTheazo()
  agent = await newAgent()
  files = agent.files
})
afterAll(() => local[Symbol.asyncDispose]())

async function newAgent(): Promise<Agent> {
  const session = await new Theazo(local).sessions.forUser('files')
  return await session.agents.create()
}

/** Runs Bash in the sandbox. It must succeed. */
async function bash(code: string, inside: Agent = agent): Promise<string> {
  const { stdout, stderr, exitCode } = await inside.exec('bash', code)
  expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 })
  return stdout
}

let folders = 0
/** A folder that no other test uses. */
async function newFolder(): Promise<string> {
  const folder = `folder-${(folders += 1)}`
  await files.mkdir(folder)
  return folder
}

/** The host with a callback before each exec. */
function watched(host: FileHost, onCall: (count: number, code: string) => void): FileHost {
  let count = 0
  return {
    exec: (lang, code, options) => {
      const result = host.exec(lang, code, options)
      onCall((count += 1), code)
      return result
    },
  }
}

/**
 * A server that runs each exec with a new `python3 -c` in /workspace, so code is limited to the size of one argument.
 */
function startingPython(inside: Agent): FileHost {
  return {
    exec: (_lang, code, options) =>
      inside.exec('bash', `PYTHONPATH=/workspace exec python3 -c "$(cat <<'END'\n${code}\nEND\n)"`, options),
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
const leftovers = (folder: string): Promise<string> => bash(`find ${folder} -name '.theazo-*'`)

/** Pseudo-random bytes from a seed, so that two numbers reproduce a failure. */
function seededBytes(sizeBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  for (let at = 0, state = seed | 1; at < sizeBytes; at += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state
  }
  return bytes
}

const nastyPieces = [' ', '"', "'", '\n', '\r', '\t', '-', '\\', '$', '$(id)', '`', '*', '?', '[a]', '{a,b}', '~', '!']
const unicodePieces = [
  'é',
  'e\u0301',
  '漢',
  '😀',
  '👩‍👩‍👧',
  '\u202e',
  '\ufeff',
  '\u2028',
  '\u{10ffff}',
  '\u0001',
  '\u007f',
  '%2F',
  '&',
  ';',
  '|',
  '#',
  '.',
]

/** A legal name: at most 255 bytes of UTF-8, no `/`, no NUL, neither `.` nor `..`. */
const names = fc
  .array(fc.oneof(fc.constantFrom(...nastyPieces, ...unicodePieces), fc.string({ unit: 'binary', maxLength: 8 })), {
    minLength: 1,
    maxLength: 40,
  })
  .map((pieces) => cut(pieces.join('').replaceAll(/[/\0]/g, '_'), 255))
  .filter((name) => !['', '.', '..'].includes(name))

/** The start of the text, up to a number of bytes, without splitting a character. */
function cut(text: string, maxBytes: number): string {
  let result = ''
  let sizeBytes = 0
  for (const character of text) {
    sizeBytes += Buffer.byteLength(character)
    if (sizeBytes > maxBytes) break
    result += character
  }
  return result
}

const contents = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .record({ sizeBytes: fc.nat(200_000), seed: fc.integer() })
    .map(({ sizeBytes, seed }) => seededBytes(sizeBytes, seed)),
)

const runs = { seed: 4, numRuns: isSoak ? 60 : 10, endOnFailure: true }

describe('a read returns what was written', () => {
  test('for any bytes and any valid name, after every operation', async () => {
    await fc.assert(
      fc.asyncProperty(names, names, contents, async (name, newName, bytes) => {
        const folder = await newFolder()
        const path = `${folder}/${name}`
        await files.write(path, bytes)
        expect(isSame(await files.read(path), bytes)).toBe(true)
        expect(await files.readText(path)).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
        const entry = { path: `/workspace/${path}`, name, type: 'file', sizeBytes: bytes.length }
        expect(await files.list(folder)).toEqual([expect.objectContaining(entry)])
        expect(await files.stat(`/workspace/${path}`)).toMatchObject(entry)
        await files.rename(path, `${folder}/${newName}`)
        expect((await files.list(folder)).map((found) => found.name)).toEqual([newName])
        expect(isSame(await files.read(`${folder}/${newName}`), bytes)).toBe(true)
        expect(await files.exists(path)).toBe(name === newName)
        await files.remove(`${folder}/${newName}`)
        expect(await files.exists(`${folder}/${newName}`)).toBe(false)
        expect(await files.list(folder)).toEqual([])
      }),
      runs,
    )
  })

  test('for any text, including a byte order mark and line ends', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (text) => {
        await files.write('text', text)
        expect(await files.readText('text')).toBe(text)
      }),
      { ...runs, examples: [['\ufeffa\r\nb\u0000c\u2028'], ['']] },
    )
  })

  test.each([
    '-rf',
    '--help',
    ' ',
    '\n',
    '...',
    '.hidden',
    '*',
    '$HOME',
    '`id`',
    '\\',
    "'",
    '"',
    'a\nb',
    '~',
    '😀',
    'e\u0301',
  ])('for a file in the working folder named %j', async (name) => {
    await files.write(name, name)
    expect(await files.readText(name)).toBe(name)
    expect((await files.list()).map((entry) => entry.name)).toContain(name)
    await files.remove(name)
    expect(await files.exists(name)).toBe(false)
  })

  test('for a name of 255 bytes, and for its composed and decomposed Unicode forms', async () => {
    const folder = await newFolder()
    const long = ['é'.repeat(127) + 'x', 'x'.repeat(255), '😀'.repeat(63) + 'abc', 'é', 'e\u0301']
    for (const name of long) await files.write(`${folder}/${name}`, name)
    expect(new Set((await files.list(folder)).map(({ name }) => name))).toEqual(new Set(long))
    for (const name of long) expect(await files.readText(`${folder}/${name}`)).toBe(name)
  })
})

describe('sizes', () => {
  const [ki, mi] = [1024, 1024 * 1024]
  test.each([4 * mi - 1, 4 * mi, 4 * mi + 1, 6 * mi - 1, 6 * mi, 6 * mi + 1, 20 * mi])(
    '%i bytes',
    async (sizeBytes) => {
      const bytes = randomBytes(sizeBytes)
      await files.write('sized', bytes)
      expect(await bash('sha256sum < sized')).toBe(`${sha256(bytes)}  -\n`)
      expect(isSame(await files.read('sized'), bytes)).toBe(true)
    },
  )

  test.each([0, 1, 72 * ki - 1, 72 * ki, 72 * ki + 1, 3 * 72 * ki])(
    '%i bytes on a server that accepts code only as one argument',
    async (sizeBytes) => {
      const bytes = randomBytes(sizeBytes)
      const small = new SandboxFiles(startingPython(agent))
      await small.write('sized', bytes)
      expect(await bash('sha256sum < sized')).toBe(`${sha256(bytes)}  -\n`)
      expect(isSame(await small.read('sized'), bytes)).toBe(true)
    },
  )

  test('more than 100 MiB is not written, and no exec is sent', async () => {
    let calls = 0
    const counted = new SandboxFiles(watched(agent, () => (calls += 1)))
    await expect(counted.write('over', new Uint8Array(100 * mi + 1))).rejects.toMatchObject({ code: 'file_too_large' })
    expect([calls, await files.exists('over')]).toEqual([0, false])
  })

  test('more than 100 MiB is not read, and its bytes are not transferred', async () => {
    await bash('truncate -s 101M over')
    const sizes: number[] = []
    const host: FileHost = {
      async exec(lang, code, options) {
        const result = await agent.exec(lang, code, options)
        sizes.push(result.stdout.length)
        return result
      },
    }
    const error = { code: 'file_too_large', details: { path: 'over' } }
    const read = new SandboxFiles(host).read('over').then(({ length }) => length)
    await expect(read).rejects.toMatchObject(error)
    expect(sizes).toHaveLength(1)
    expect(sizes[0]).toBeLessThan(1000)
  })

  test('100 MiB is the maximum, whatever maxBytes is', async () => {
    await bash('truncate -s 101M over')
    const read = files.read('over', { maxBytes: 200 * mi }).then(({ length }) => length) // a report must not print it
    await expect(read).rejects.toMatchObject({ code: 'file_too_large' })
  })

  test('maxBytes is an inclusive limit', async () => {
    await files.write('ten', '0123456789')
    expect(await files.readText('ten', { maxBytes: 10 })).toBe('0123456789')
    await expect(files.read('ten', { maxBytes: 9 })).rejects.toMatchObject({ code: 'file_too_large' })
  })
})

describe('a write is atomic', () => {
  // Each content is one repeated letter, so mixed or partial content is visible.
  const lengthOf = (letter: string): number => (letter === 'a' ? 10 : 200_000)
  const contentOf = (letter: string): string => letter.repeat(lengthOf(letter))

  test('a program in the sandbox sees the complete old or new content during a write', async () => {
    const folder = await newFolder()
    const small = new SandboxFiles(startingPython(agent))
    await files.write(`${folder}/file`, contentOf('a'))
    const reader = agent.exec(
      'python',
      `
import json, os
os.chdir('${folder}')
seen, torn, reads = set(), 0, 0
while not os.path.exists('stop'):
    with open('file') as f: text = f.read()
    letter = text[:1]
    if text != letter * (10 if letter == 'a' else 200000): torn += 1
    seen.add(letter)
    reads += 1
    if reads == 1: open('reading', 'w').close()
print(json.dumps({'seen': sorted(seen), 'torn': torn}))`,
    )
    await bash(`cd ${folder}; until [[ -e reading ]]; do sleep 0.01; done`)
    for (let round = 0; round < 8; round += 1) {
      for (const letter of ['b', 'a']) await files.write(`${folder}/file`, contentOf(letter))
      for (const letter of ['c', 'a']) await small.write(`${folder}/file`, contentOf(letter))
    }
    await files.write(`${folder}/stop`, '')
    expect(JSON.parse((await reader).stdout)).toEqual({ seen: ['a', 'b', 'c'], torn: 0 })
    expect(await leftovers(folder)).toBe('')
  })

  test('reads during writes return one complete content, and concurrent writes leave one', async () => {
    const small = new SandboxFiles(agent)
    await files.write('shared', contentOf('a'))
    const isWhole = (text: string): boolean => text === contentOf(text.charAt(0))
    const write = async (letter: string, with_: SandboxFiles): Promise<void> => {
      for (let round = 0; round < 5; round += 1) await with_.write('shared', contentOf(letter))
    }
    const read = async (): Promise<boolean> => {
      const texts: string[] = []
      for (let round = 0; round < 10; round += 1) texts.push(await files.readText('shared'))
      return texts.every(isWhole)
    }
    const [isEachWhole] = await Promise.all([read(), write('b', small), write('c', small), write('d', files)])
    expect([isEachWhole, isWhole(await files.readText('shared'))]).toEqual([true, true])
    expect(await bash("find . -maxdepth 1 -name '.theazo-*'")).toBe('')
  })

  test('a file that is replaced during a read in parts is an error, never mixed content', async () => {
    await files.write('mixed', 'a'.repeat(7 * 1024 * 1024))
    let calls = 0
    const host: FileHost = {
      async exec(lang, code, options) {
        const result = await agent.exec(lang, code, options)
        if ((calls += 1) === 1) await files.write('mixed', 'b'.repeat(7 * 1024 * 1024))
        return result
      },
    }
    const error = { name: 'FileError', code: 'file_changed', details: { path: 'mixed' } }
    const read = new SandboxFiles(host).read('mixed').then(({ length }) => length)
    await expect(read).rejects.toMatchObject(error)
  })

  test.each([1, 2, 3, 5, 6])('an abort during step %i of 6 leaves the old file and nothing else', async (step) => {
    const folder = await newFolder()
    await files.write(`${folder}/file`, 'old')
    const abort = new AbortController()
    const reason = new Error('changed my mind')
    const host = watched(agent, (count) => count === step && abort.abort(reason))
    const bytes = new Uint8Array(4.5 * 72 * 1024)
    const written = new SandboxFiles(host).write(`${folder}/file`, bytes, { signal: abort.signal })
    await expect(written).rejects.toBe(reason)
    expect(await files.readText(`${folder}/file`)).toBe('old')
    expect(await bash(`ls -A ${folder}`)).toBe('file\n')
  })

  test.each([10, 5_000_000])(
    'a write of %i bytes that is killed right before its last step leaves the old file',
    async (sizeBytes) => {
      await using own = await newAgent()
      // The program delays its last step, so that the abort comes before it.
      const hold = `
import os, time
def replace(source, target, **_):
    open('/home/agent/ready', 'w').close()
    time.sleep(60)
os.replace = replace`
      await own.files.write('folder/file', 'old')
      const host: FileHost = { exec: (lang, code, options) => own.exec(lang, `${hold}\n${code}`, options) }
      const abort = new AbortController()
      const written = new SandboxFiles(host).write('folder/file', 'x'.repeat(sizeBytes), { signal: abort.signal })
      await Promise.race([bash('until [[ -e ~/ready ]]; do sleep 0.01; done', own), written])
      abort.abort(new Error('enough'))
      await expect(written).rejects.toThrow('enough')
      expect(await bash('ls -A folder; cat folder/file', own)).toBe('file\nold')
    },
  )

  test('a write whose temporary file was removed fails, and does not install partial content', async () => {
    const folder = await newFolder()
    await files.write(`${folder}/file`, 'old')
    let calls = 0
    const host: FileHost = {
      async exec(lang, code, options) {
        const result = await agent.exec(lang, code, options)
        if ((calls += 1) === 1) await bash(`rm ${folder}/.theazo-*`)
        return result
      },
    }
    await expect(new SandboxFiles(host).write(`${folder}/file`, 'x'.repeat(200_000))).rejects.toMatchObject({
      name: 'FileError',
    })
    expect(await files.readText(`${folder}/file`)).toBe('old')
    expect(await bash(`ls -A ${folder}`)).toBe('file\n')
  })

  test.each([10, 5_000_000])('a write of %i bytes that reaches its timeout leaves the old file', async (sizeBytes) => {
    const folder = await newFolder()
    await files.write(`${folder}/file`, 'old')
    const hold = `
import os, time
os.replace = lambda *_, **__: time.sleep(60)`
    const host: FileHost = { exec: (lang, code, options) => agent.exec(lang, `${hold}\n${code}`, options) }
    const written = new SandboxFiles(host).write(`${folder}/file`, 'x'.repeat(sizeBytes), { timeoutMs: 1500 })
    await expect(written).rejects.toMatchObject({
      name: 'TimeoutError',
      code: 'client_timeout',
      message: expect.stringContaining(`write of ${folder}/file was not done within 1500 ms`),
    })
    expect(await bash(`ls -A ${folder}; cat ${folder}/file`)).toBe('file\nold')
  })

  test('every operation accepts timeoutMs, and none continues after it', async () => {
    const signals: AbortSignal[] = []
    const host: FileHost = {
      exec: async (_lang, _code, { signal } = {}) => {
        if (!signal) throw new Error('there is a signal')
        signals.push(signal)
        return await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
    }
    const held = new SandboxFiles(host)
    const options = { timeoutMs: 1 }
    for (const operation of [
      held.read('x', options),
      held.readText('x', options),
      held.list('.', options),
      held.stat('x', options),
      held.exists('x', options),
      held.remove('x', options),
      held.mkdir('x', options),
      held.rename('x', 'y', options),
    ]) {
      await expect(operation).rejects.toMatchObject({ name: 'TimeoutError', code: 'client_timeout' })
    }
    expect(signals.every(({ aborted }) => aborted)).toBe(true)
    await expect(files.stat('x', { timeoutMs: 0 })).rejects.toMatchObject({ name: 'ConfigurationError' })
  })

  test('an aborted signal sends no exec', async () => {
    const reason = new Error('too late')
    await expect(files.write('never', 'x', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await expect(files.read('file', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(await files.exists('never')).toBe(false)
  })
})

describe('links and permissions', () => {
  test('an existing file keeps its permissions, and a new one has the default ones', async () => {
    await bash('echo old > script; chmod 751 script; echo old > secret; chmod 600 secret; touch usual')
    await files.write('script', 'new')
    await files.write('secret', 'x'.repeat(5 * 1024 * 1024))
    await files.write('fresh', 'new')
    expect(await bash('stat -c %a script secret')).toBe('751\n600\n')
    expect((await files.stat('fresh')).mode).toBe((await files.stat('usual')).mode)
  })

  test.each(['target', '/workspace/links/target', 'second'])(
    'a write to a link to %s changes the target',
    async (to) => {
      await bash(`rm -rf links; mkdir links; cd links; echo old > target; ln -s target second; ln -s ${to} link`)
      await files.write('links/link', 'new')
      expect(await bash('cd links; cat target; echo; readlink link second; ls -A')).toBe(
        `new\n${to}\ntarget\nlink\nsecond\ntarget\n`,
      )
      expect(await files.readText('links/link')).toBe('new')
    },
  )

  test('a link to a folder can be part of a path', async () => {
    await bash('mkdir -p real; echo in > real/file; ln -sfn real way')
    expect(await files.readText('way/file')).toBe('in\n')
    await files.write('way/made', 'new')
    expect(await bash('cat real/made')).toBe('new')
    expect((await files.list('way')).map(({ name }) => name)).toEqual(['file', 'made'])
    await expect(files.write('way', 'x')).rejects.toMatchObject({ code: 'file_is_a_directory' })
  })

  test('.. after a link is the parent of its target, as everywhere in the sandbox', async () => {
    await bash('mkdir -p far/deep; echo far > far/up; echo near > up; ln -sfn far/deep jump')
    expect(await bash('cat jump/../up')).toBe('far\n')
    expect(await files.readText('jump/../up')).toBe('far\n')
  })

  test('a dangling link exists, cannot be read, and a write creates its target', async () => {
    await bash('ln -sfn made/by/write dangling')
    expect(await files.exists('dangling')).toBe(true)
    expect(await files.stat('dangling')).toMatchObject({ type: 'symlink', name: 'dangling' })
    await expect(files.read('dangling')).rejects.toMatchObject({ code: 'file_not_found' })
    await files.write('dangling', 'new')
    expect(await bash('cat made/by/write; readlink dangling')).toBe('newmade/by/write\n')
  })

  test('circular links cannot be read or written, and can be listed, renamed and removed', async () => {
    const folder = await newFolder()
    await bash(`cd ${folder}; ln -s b a; ln -s a b`)
    const error = { name: 'FileError', message: expect.stringContaining('symbolic links') }
    await expect(files.read(`${folder}/a`)).rejects.toMatchObject(error)
    await expect(files.write(`${folder}/a`, 'x')).rejects.toMatchObject(error)
    expect((await files.list(folder)).map(({ name, type }) => [name, type])).toEqual([
      ['a', 'symlink'],
      ['b', 'symlink'],
    ])
    await files.rename(`${folder}/a`, `${folder}/c`)
    await files.remove(`${folder}/b`)
    expect(await bash(`ls -A ${folder}`)).toBe('c\n')
  })

  test('rename and remove change a link, not its target', async () => {
    const folder = await newFolder()
    await bash(`cd ${folder}; mkdir kept; echo x > kept/file; ln -s kept link`)
    await files.rename(`${folder}/link`, `${folder}/moved`)
    await files.remove(`${folder}/moved`, { isRecursive: true })
    expect(await bash(`cd ${folder}; ls -A . kept`)).toBe('.:\nkept\n\nkept:\nfile\n')
  })
})

describe('an error of the file system is a typed error that names the path', () => {
  beforeAll(async () => {
    await bash(`
mkdir -p refused/dir/in refused/closed; cd refused; echo x > file; echo x > dir/in/file; echo x > unreadable; echo x > closed/file
mkdir -m 555 frozen; chmod 000 unreadable closed`)
  })
  const long = 'x'.repeat(256)

  test.each<[string, string, string, (path: string) => Promise<unknown>]>([
    ['read', 'refused/none', 'file_not_found', (path) => files.read(path)],
    ['readText', 'refused/none/none', 'file_not_found', (path) => files.readText(path)],
    ['stat', 'refused/none', 'file_not_found', (path) => files.stat(path)],
    ['list', 'refused/none', 'file_not_found', (path) => files.list(path)],
    ['remove', 'refused/none', 'file_not_found', (path) => files.remove(path)],
    ['recursive remove', 'refused/none', 'file_not_found', (path) => files.remove(path, { isRecursive: true })],
    ['rename', 'refused/none', 'file_not_found', (path) => files.rename(path, 'refused/new')],
    [
      'rename into a missing folder',
      'refused/file',
      'file_not_found',
      (path) => files.rename(path, 'refused/none/new'),
    ],
    ['read', 'refused/dir', 'file_is_a_directory', (path) => files.read(path)],
    ['write', 'refused/dir', 'file_is_a_directory', (path) => files.write(path, 'x')],
    ['write', 'refused/new/', 'file_is_a_directory', (path) => files.write(path, 'x')],
    ['write', '.', 'file_is_a_directory', (path) => files.write(path, 'x')],
    ['large write', 'refused/dir', 'file_is_a_directory', (path) => files.write(path, 'x'.repeat(5_000_000))],
    ['rename a file over it', 'refused/file', 'file_is_a_directory', (path) => files.rename(path, 'refused/dir')],
    ['list', 'refused/file', 'file_not_a_directory', (path) => files.list(path)],
    ['read', 'refused/file/in', 'file_not_a_directory', (path) => files.read(path)],
    ['write', 'refused/file/in', 'file_not_a_directory', (path) => files.write(path, 'x')],
    ['large write', 'refused/file/in', 'file_not_a_directory', (path) => files.write(path, 'x'.repeat(5_000_000))],
    ['write', 'refused/file/in/it', 'file_not_a_directory', (path) => files.write(path, 'x')],
    ['mkdir', 'refused/file/in', 'file_not_a_directory', (path) => files.mkdir(path)],
    ['stat', 'refused/file/', 'file_not_a_directory', (path) => files.stat(path)],
    [
      'rename a folder over a file',
      'refused/dir',
      'file_not_a_directory',
      (path) => files.rename(path, 'refused/file'),
    ],
    ['mkdir', 'refused/file', 'file_exists', (path) => files.mkdir(path)],
    ['remove', 'refused/dir', 'file_exists', (path) => files.remove(path)],
    ['read', 'refused/unreadable', 'file_permission_denied', (path) => files.read(path)],
    ['read', 'refused/closed/file', 'file_permission_denied', (path) => files.read(path)],
    ['stat', 'refused/closed/file', 'file_permission_denied', (path) => files.stat(path)],
    ['exists', 'refused/closed/file', 'file_permission_denied', (path) => files.exists(path)],
    ['list', 'refused/closed', 'file_permission_denied', (path) => files.list(path)],
    ['write', 'refused/closed/new', 'file_permission_denied', (path) => files.write(path, 'x')],
    ['write', 'refused/frozen/new', 'file_permission_denied', (path) => files.write(path, 'x')],
    ['large write', 'refused/frozen/new', 'file_permission_denied', (path) => files.write(path, 'x'.repeat(5_000_000))],
    ['mkdir', 'refused/frozen/new', 'file_permission_denied', (path) => files.mkdir(path)],
    [
      'recursive remove',
      'refused/closed',
      'file_permission_denied',
      (path) => files.remove(path, { isRecursive: true }),
    ],
    ['write', '/etc/theazo', 'file_permission_denied', (path) => files.write(path, 'x')],
    ['write', '/etc/passwd', 'file_permission_denied', (path) => files.write(path, 'x')],
    ['write', '/usr/bin/theazo', 'file_permission_denied', (path) => files.write(path, 'x')],
    ['remove', '/etc/passwd', 'file_permission_denied', (path) => files.remove(path)],
    ['read', `refused/${long}`, 'file_invalid_path', (path) => files.read(path)],
    ['write', `refused/${long}`, 'file_invalid_path', (path) => files.write(path, 'x')],
    ['read', 'd/'.repeat(3000), 'file_invalid_path', (path) => files.read(path)],
    ['read', '', 'file_invalid_path', (path) => files.read(path)],
    ['write', '', 'file_invalid_path', (path) => files.write(path, 'x')],
    ['list', '', 'file_invalid_path', (path) => files.list(path)],
    ['exists', '', 'file_invalid_path', (path) => files.exists(path)],
    ['read', 'a\0b', 'file_invalid_path', (path) => files.read(path)],
    ['write', 'a\0b', 'file_invalid_path', (path) => files.write(path, 'x')],
    ['rename to it', 'a\0b', 'file_invalid_path', (path) => files.rename('refused/file', path)],
    ['rename to it', '', 'file_invalid_path', (path) => files.rename('refused/file', path)],
    ['write', 'half a pair: \ud800', 'file_invalid_path', (path) => files.write(path, 'x')],
  ])('%s of %j is %s', async (_what, path, code, call) => {
    const error = await call(path).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ name: 'FileError', code, isRetryable: false })
    expect(error).toHaveProperty('details.path', expect.stringContaining(path))
  })

  test('these errors changed no file', async () => {
    const found = await bash('cd refused; chmod 700 closed; find . | sort; cat file')
    expect(found).toBe(
      '.\n./closed\n./closed/file\n./dir\n./dir/in\n./dir/in/file\n./file\n./frozen\n./unreadable\nx\n',
    )
  })

  test('exists is false below a file and below a missing folder', async () => {
    await files.write('plain', 'x')
    expect([await files.exists('plain/in'), await files.exists('none/none')]).toEqual([false, false])
  })
})

describe('unusual files in the sandbox', () => {
  test('names that are not UTF-8 are listed, and the listed path can be read, renamed and removed', async () => {
    const folder = await newFolder()
    const names = String.raw`[b'caf\xe9', b'\xff\xfe', b'a\x80b', b'\xed\xa0\xbd\xed\xb8\x80', b'\xf0\x9f\x98', b'\xf0\x9f\x98\x80']`
    const { exitCode } = await agent.exec(
      'python',
      `import os\nfor n, name in enumerate(${names}):\n  with open(b'${folder}/' + name, 'w') as f: f.write(str(n))`,
    )
    expect(exitCode).toBe(0)
    const entries = await files.list(folder)
    const texts = await Promise.all(entries.map(({ path }) => files.readText(path)))
    expect(texts.toSorted()).toEqual(['0', '1', '2', '3', '4', '5'])
    for (const [index, { path, name }] of entries.entries()) {
      expect(await files.stat(path)).toMatchObject({ path, name, type: 'file' })
      await files.write(path, `again ${index}`)
      expect(await files.readText(`${folder}/${name}`)).toBe(`again ${index}`)
      await files.rename(path, `${path}-moved`)
      await files.remove(`${path}-moved`)
    }
    expect(await files.list(folder)).toEqual([])
  })

  const rubbish = `
import atexit, sys
print('theazo:rubbish {"value": null}')
atexit.register(lambda: print('theazo:rubbish {"value": null}'))
def loads(*_): return {}
def dumps(*_): return '{"value": null}'
a2b_base64 = b2a_base64 = lambda *_, **__: b''
`
  test.each<[string, (inside: Agent) => SandboxFiles]>([
    ['the local server', (inside) => inside.files],
    ['a server that starts python3 -c in /workspace', (inside) => new SandboxFiles(startingPython(inside))],
  ])("a user's own modules do not affect the file operations, on %s", async (_where, filesOf) => {
    await using own = await newAgent()
    const ownFiles = filesOf(own)
    const modules = ['json', 'os', 'binascii', 'errno', 'stat', 'base64', 'posixpath', 'sitecustomize', 'usercustomize']
    const site = '~/.local/lib/$(basename $(readlink -f /usr/bin/python3))/site-packages'
    await bash(
      `for name in ${modules.join(' ')}; do cat > $name.py <<'END'\n${rubbish}\nEND\ncp $name.py ~/$name.py; done
mkdir -p ${site}; cp usercustomize.py ${site}; echo 'import usercustomize' > ${site}/user.pth
mkdir -p json; cp json.py json/__init__.py`,
      own,
    )
    await ownFiles.write('made/file', 'content')
    expect(await ownFiles.readText('made/file')).toBe('content')
    expect((await ownFiles.list('made')).map(({ name }) => name)).toEqual(['file'])
    await ownFiles.rename('made/file', 'made/moved')
    await ownFiles.remove('made', { isRecursive: true })
    expect(await ownFiles.exists('made')).toBe(false)
    await expect(ownFiles.read('none')).rejects.toMatchObject({ code: 'file_not_found' })
  })

  test.each([
    ['by standard input if the server supports it', 'exec-stdin'],
    ['in the code if the server does not', 'exec-stdio'],
  ])('megabytes are sent %s', async (_, feature) => {
    const requests: { codeChars: number; hasStdin: boolean }[] = []
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const body = typeof init?.body === 'string' ? JSON.parse(init.body) : {}
      if (body.code !== undefined) requests.push({ codeChars: body.code.length, hasStdin: body.stdin !== undefined })
      const response = await local.fetch(input, init)
      const headers = new Headers(response.headers)
      headers.set('theazo-features', (headers.get('theazo-features') ?? '').replace('exec-stdin', feature))
      return new Response(response.body, { status: response.status, headers })
    }
    const session = await new Theazo({ ...local, fetch }).sessions.forUser('by-stdin')
    await using own = await session.agents.create()
    const content = new Uint8Array(9_000_000).map((_byte, index) => index * 31)
    await own.files.write('large', content)
    const isByStdin = feature === 'exec-stdin'
    const large = requests.filter(({ hasStdin, codeChars }) => hasStdin || codeChars > 500_000)
    expect(large.map(({ hasStdin }) => hasStdin)).toEqual(Array(isByStdin ? 2 : 3).fill(isByStdin))
    expect(await own.files.read('large')).toEqual(content)
  })

  test('a pipe, a socket and a device are neither written nor replaced', async () => {
    await bash('mkfifo target; ln -s target link-to-pipe')
    await agent.exec('python', 'import socket; socket.socket(socket.AF_UNIX).bind("written-socket")')
    for (const path of ['target', 'link-to-pipe', 'written-socket', '/dev/null', '/dev/full', '/dev/stdout']) {
      for (const size of [3, 20 * 1024 * 1024]) {
        const refused = files.write(path, new Uint8Array(size))
        await expect(refused).rejects.toMatchObject({ name: 'FileError', details: { path } })
      }
    }
    const said = await files.write('target', 'x').catch(String)
    expect(said).toContain('write of target: it is neither a file nor a folder: a pipe, a socket or a device')
    expect((await files.stat('target')).type).toBe('other')
    const left = await bash('ls -A | grep theazo || true')
    expect(left).not.toContain('.theazo-')
  })

  test('a read of a pipe, a socket or a device is refused immediately', async () => {
    await bash('mkfifo pipe')
    await agent.exec('python', 'import socket; socket.socket(socket.AF_UNIX).bind("socket")')
    for (const path of ['pipe', 'socket', '/dev/zero', '/dev/null', '/dev/random']) {
      await expect(files.read(path)).rejects.toMatchObject({ name: 'FileError', code: 'file_error', details: { path } })
    }
    expect((await files.stat('pipe')).type).toBe('other')
  })

  test('a huge sparse file is refused because of its size', async () => {
    const { stdout } = await agent.exec(
      'python',
      `
import os
fd = os.open('sparse', os.O_CREAT | os.O_WRONLY)
size = 2 ** 44
while True:
    try: os.ftruncate(fd, size); break
    except OSError: size //= 2
print(size)`,
    )
    expect(Number(stdout)).toBeGreaterThan(100 * 1024 * 1024)
    const read = files.read('sparse').then(({ length }) => length)
    await expect(read).rejects.toMatchObject({ code: 'file_too_large' })
    expect((await files.stat('sparse')).sizeBytes).toBe(Number(stdout))
    await files.remove('sparse')
  })

  test('a file without a known size is read to its end', async () => {
    expect(await files.readText('/proc/version')).toMatch(/^Linux version .*\n$/)
  })
})

describe('folders', () => {
  test('write and mkdir create missing folders, and mkdir accepts existing ones', async () => {
    const folder = await newFolder()
    await files.write(`${folder}/a/b/c.txt`, 'x')
    await files.write(`${folder}/d/e/large`, 'x'.repeat(5_000_000))
    await files.mkdir(`${folder}/a/b`)
    await files.mkdir(`${folder}/f/g/h`)
    expect(await bash(`cd ${folder}; find . | sort`)).toBe(
      '.\n./a\n./a/b\n./a/b/c.txt\n./d\n./d/e\n./d/e/large\n./f\n./f/g\n./f/g/h\n',
    )
  })

  test('a folder is moved with its content', async () => {
    const folder = await newFolder()
    await files.write(`${folder}/a/b/c`, 'x')
    await files.rename(`${folder}/a`, `${folder}/z`)
    expect(await files.readText(`${folder}/z/b/c`)).toBe('x')
    await expect(files.rename(`${folder}/z`, `${folder}/z/b/inside`)).rejects.toMatchObject({ name: 'FileError' })
  })

  test('a moved file replaces an existing file', async () => {
    await files.write('from', 'new')
    await files.write('onto', 'old')
    await files.rename('from', 'onto')
    expect([await files.readText('onto'), await files.exists('from')]).toEqual(['new', false])
  })

  test('a list contains types, sizes, times and permissions, sorted by name', async () => {
    const folder = await newFolder()
    await bash(
      `cd ${folder}; mkdir -m 750 dir; printf 12345 > file; chmod 640 file; touch -d '2024-02-29 12:00:00.5Z' file; ln -s dir link; mkfifo pipe`,
    )
    const at = (name: string) => ({ name, path: `/workspace/${folder}/${name}` })
    expect(await files.list(folder)).toEqual([
      { ...at('dir'), type: 'directory', mode: 0o750, sizeBytes: expect.any(Number), modifiedAt: expect.any(Date) },
      { ...at('file'), type: 'file', mode: 0o640, sizeBytes: 5, modifiedAt: new Date('2024-02-29T12:00:00.500Z') },
      { ...at('link'), type: 'symlink', mode: 0o777, sizeBytes: 3, modifiedAt: expect.any(Date) },
      { ...at('pipe'), type: 'other', mode: expect.any(Number), sizeBytes: 0, modifiedAt: expect.any(Date) },
    ])
  })

  test('a recursive list enters folders but not links or unreadable folders, and a recursive remove does not follow links', async () => {
    const folder = await newFolder()
    await bash(`mkdir -p ${folder}/tree/a/b outside; cd ${folder}/tree; touch a/b/c a/z; echo kept > /workspace/outside/file
ln -s /workspace/outside a/out; ln -s .. a/up; ln -s / root; mkdir closed; touch closed/x; chmod 000 closed`)
    const names = async () => (await files.list(`${folder}/tree`, { isRecursive: true })).map(({ name }) => name)
    expect((await names()).toSorted()).toEqual(['a', 'a/b', 'a/b/c', 'a/out', 'a/up', 'a/z', 'closed', 'root'])
    await bash(`chmod 700 ${folder}/tree/closed`)
    await files.remove(`${folder}/tree`, { isRecursive: true })
    expect(await bash(`ls -A ${folder}; cat outside/file`)).toBe('kept\n')
  })

  test('a folder of more than 10,000 entries is listed up to a limit, and refused without one', async () => {
    const folder = await newFolder()
    await agent.exec('python', `for n in range(10001): open(f'${folder}/{n:05}', 'w').close()`)
    await expect(files.list(folder)).rejects.toMatchObject({ code: 'file_too_large', details: { path: folder } })
    const entries = await files.list(folder, { limit: 3 })
    expect(entries.map(({ name }) => name)).toEqual(['00000', '00001', '00002'])
    expect(await files.list(folder, { limit: 10_001 })).toHaveLength(10_001)
    await files.remove(folder, { isRecursive: true })
    expect(await files.exists(folder)).toBe(false)
  })

  const nest = (folder: string, depth: number, name: string): string => `
import os
os.chdir('${folder}')
for _ in range(${depth}):
    os.mkdir('${name}')
    os.chdir('${name}')
open('leaf', 'w').close()`

  test('a tree of 100 nested folders is listed and removed', async () => {
    const folder = await newFolder()
    await agent.exec('python', nest(folder, 100, 'd'))
    const entries = await files.list(folder, { isRecursive: true })
    expect([entries.length, entries.at(-1)?.name]).toEqual([101, `${'d/'.repeat(100)}leaf`])
    await files.remove(folder, { isRecursive: true })
    expect(await files.exists(folder)).toBe(false)
  })

  test('a tree of 1,500 nested folders is listed', async () => {
    const folder = await newFolder()
    await agent.exec('python', nest(folder, 1500, 'd'))
    expect(await files.list(folder, { isRecursive: true })).toHaveLength(1501)
  })

  test.each([
    ['of 1,500 nested folders', 1500, 'd'],
    ['with paths longer than any system call accepts', 300, 'a-folder-with-a-long-name'],
  ])('a tree %s is removed', async (_what, depth, name) => {
    const folder = await newFolder()
    await agent.exec('python', nest(folder, depth, name))
    await files.remove(folder, { isRecursive: true })
    expect(await files.exists(folder)).toBe(false)
  })
})

describe('places', () => {
  test('files can be in /home/agent and /tmp', async () => {
    await files.write('/home/agent/in/kept', 'x')
    expect(await bash('cat ~/in/kept')).toBe('x')
    expect(await files.readText('/home/agent/in/kept')).toBe('x')
    const large = 'x'.repeat(5_000_000)
    await files.write('/tmp/large', large)
    expect(await files.readText('/tmp/large')).toBe(large)
  })

  test('. and .. in a path have their usual meaning', async () => {
    await files.mkdir('a/b')
    await files.write('./a/./b/../../dots', 'x')
    expect(await files.readText('/workspace/../workspace/dots')).toBe('x')
    expect((await files.stat('.')).path).toBe('/workspace')
  })
})

test('operations on a terminated sandbox reject with its error, not with a file error', async () => {
  const own = await newAgent()
  await own.terminate()
  await expect(own.files.read('x')).rejects.toMatchObject({ name: 'ConflictError', status: 409 })
  await expect(own.files.exists('x')).rejects.toMatchObject({ name: 'ConflictError', status: 409 })
  await expect(own.files.write('x', 'x'.repeat(5_000_000))).rejects.toMatchObject({
    name: 'ConflictError',
    status: 409,
  })
})
