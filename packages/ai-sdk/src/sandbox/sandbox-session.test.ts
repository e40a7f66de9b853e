// What the AI SDK documents of each method of a sandbox session.
import { type Agent, ConnectionError, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import type { Experimental_SandboxSession as SandboxSession } from 'ai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bindSignal } from './bind-signal.ts'
import { theazoSandbox } from './theazo-sandbox.ts'

let local: LocalTheazo
let agent: Agent
let sandbox: SandboxSession
beforeAll(async () => {
  local = await createLocalTheazo()
  agent = await (await new Theazo(local).sessions.forUser('session')).agents.create()
  sandbox = theazoSandbox(agent)
  await sandbox.run({
    command:
      'mkdir -p folder/inner; echo -n text > file; ln -s file link; ln -s folder to-folder; ln -s none broken; mkfifo pipe; mkdir empty',
  })
})
afterAll(() => local[Symbol.asyncDispose]())

const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
const textOf = async (stream: ReadableStream<Uint8Array>) => await new Response(stream as never).text()
const processes = async () => (await agent.exec('bash', "ps -eo args | grep -c '[s]leep 4242'")).stdout.trim()

describe('run', () => {
  test('returns the exit code and both streams', async () => {
    expect(await sandbox.run({ command: 'echo out; echo err >&2; exit 3' })).toEqual({
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    })
  })

  test('starts in the base directory, which no command changes', async () => {
    await sandbox.run({ command: 'cd /tmp' })
    expect((await sandbox.run({ command: 'pwd' })).stdout).toBe('/workspace\n')
  })

  test('resolves a relative working directory against the base directory', async () => {
    expect((await sandbox.run({ command: 'pwd', workingDirectory: 'folder/inner' })).stdout).toBe(
      '/workspace/folder/inner\n',
    )
    expect((await sandbox.run({ command: 'pwd', workingDirectory: '/tmp' })).stdout).toBe('/tmp\n')
  })

  test('adds variables, and keeps them out of the command', async () => {
    const { stdout } = await sandbox.run({ command: 'echo "$SECRET $HOME"; ps -eo args', env: { SECRET: "s'e cret" } })
    expect(stdout.startsWith("s'e cret /home/agent\n")).toBe(true)
    expect(stdout.match(/s'e cret/g)).toHaveLength(1)
  })

  test('an abort kills the process and rejects with the reason', async () => {
    const stop = new AbortController()
    const ended = sandbox
      .run({ command: 'touch begun; sleep 4242', abortSignal: stop.signal })
      .then(undefined, (error: unknown) => error)
    await agent.exec('bash', 'until [[ -e begun ]]; do sleep 0.01; done')
    const reason = new Error('enough')
    stop.abort(reason)
    expect(await ended).toBe(reason)
    await expect.poll(processes).toBe('0')
  })
})

describe('reading', () => {
  test('a missing file is null', async () => {
    for (const path of ['none', 'folder/none', 'file/below', 'broken']) {
      expect(await sandbox.readFile({ path })).toBeNull()
      expect(await sandbox.readBinaryFile({ path })).toBeNull()
      expect(await sandbox.readTextFile({ path })).toBeNull()
    }
  })

  test('a directory is an error', async () => {
    await expect(sandbox.readFile({ path: 'folder' })).rejects.toMatchObject({ code: 'file_is_a_directory' })
    await expect(sandbox.readTextFile({ path: 'folder' })).rejects.toMatchObject({ code: 'file_is_a_directory' })
  })

  test('every byte is kept', async () => {
    await sandbox.writeBinaryFile({ path: 'bytes', content: bytes })
    expect(await sandbox.readBinaryFile({ path: '/workspace/bytes' })).toEqual(bytes)
    const stream = (await sandbox.readFile({ path: 'bytes' })) ?? expect.fail('there is no file')
    expect(await new Response(stream as never).bytes()).toEqual(bytes)
  })

  test.each([
    [{}, 'a\nb\nc\n'],
    [{ startLine: 2 }, 'b\nc\n'],
    [{ endLine: 2 }, 'a\nb'],
    [{ startLine: 2, endLine: 2 }, 'b'],
    [{ startLine: 2, endLine: 99 }, 'b\nc\n'],
    [{ startLine: 99 }, ''],
  ])('the lines %j', async (range, text) => {
    await sandbox.writeTextFile({ path: 'lines', content: 'a\nb\nc\n' })
    expect(await sandbox.readTextFile({ path: 'lines', ...range })).toBe(text)
  })

  test.each(['utf-8', 'utf16le', 'latin1'])('the encoding %s', async (encoding) => {
    await sandbox.writeTextFile({ path: 'encoded', content: 'Grüße', encoding })
    expect(await sandbox.readTextFile({ path: 'encoded', encoding })).toBe('Grüße')
    expect((await sandbox.stat({ path: 'encoded' }))?.size).toBe(Buffer.from('Grüße', encoding as 'latin1').length)
    await expect(sandbox.readTextFile({ path: 'encoded', encoding: 'klingon' })).rejects.toThrow(
      "no encoding 'klingon'",
    )
  })
})

describe('writing', () => {
  test('makes parent directories and overwrites', async () => {
    await sandbox.writeTextFile({ path: "new/parent/a b'c", content: 'first' })
    await sandbox.writeFile({ path: "new/parent/a b'c", content: new Blob(['second']).stream() })
    expect(await sandbox.readTextFile({ path: "new/parent/a b'c" })).toBe('second')
  })

  test('rejects on a directory', async () => {
    for (const path of ['folder', '/workspace', 'to-folder']) {
      await expect(sandbox.writeTextFile({ path, content: 'x' })).rejects.toMatchObject({ code: 'file_is_a_directory' })
    }
  })
})

describe('stat', () => {
  test.each([
    ['file', { type: 'file', size: 4 }],
    ['folder', { type: 'directory', size: expect.any(Number) }],
    ['link', { type: 'file', size: 4 }],
    ['to-folder', { type: 'directory', size: expect.any(Number) }],
    ['pipe', { type: 'other', size: 0 }],
    ['/dev/null', { type: 'other', size: 0 }],
    ['none', null],
    ['broken', null],
    ['file/below', null],
  ])('of %s', async (path, stat) => expect(await sandbox.stat({ path })).toEqual(stat))
})

describe('listDirectory', () => {
  test('has the entries of one directory, and does not follow links', async () => {
    await sandbox.run({
      command:
        'mkdir -p listed/folder; touch listed/file listed/folder/inner; ln -s file listed/link; mkfifo listed/pipe',
    })
    const entries = await sandbox.listDirectory({ path: 'listed' })
    expect(entries?.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: 'file', type: 'file' },
      { name: 'folder', type: 'directory' },
      { name: 'link', type: 'symlink' },
      { name: 'pipe', type: 'other' },
    ])
    expect(await sandbox.listDirectory({ path: 'empty' })).toEqual([])
  })

  test('of a missing directory is null, and of a file an error', async () => {
    expect(await sandbox.listDirectory({ path: 'none' })).toBeNull()
    expect(await sandbox.listDirectory({ path: 'file/below' })).toBeNull()
    await expect(sandbox.listDirectory({ path: 'file' })).rejects.toMatchObject({ code: 'file_not_a_directory' })
  })
})

describe('deleteFile', () => {
  test('tells whether there was a file, and deletes a link itself', async () => {
    await sandbox.run({ command: 'touch gone; ln -s file link-to-delete; ln -s folder folder-link' })
    expect(await sandbox.deleteFile({ path: 'gone' })).toBe(true)
    expect(await sandbox.deleteFile({ path: 'gone' })).toBe(false)
    expect(await sandbox.deleteFile({ path: 'link-to-delete' })).toBe(true)
    expect(await sandbox.deleteFile({ path: 'folder-link' })).toBe(true)
    expect([await sandbox.stat({ path: 'file' }), await sandbox.stat({ path: 'folder/inner' })]).toMatchObject([
      { type: 'file' },
      { type: 'directory' },
    ])
  })

  test('rejects on a directory, also an empty one', async () => {
    for (const path of ['folder', 'empty']) {
      await expect(sandbox.deleteFile({ path })).rejects.toMatchObject({ code: 'file_is_a_directory' })
      expect(await sandbox.stat({ path })).toMatchObject({ type: 'directory' })
    }
  })
})

describe('spawn', () => {
  test('streams the output while the process runs', async () => {
    const child = await sandbox.spawn({
      command: 'echo first; until [[ -e go ]]; do sleep 0.01; done; echo last; echo err >&2; exit 5',
    })
    const reader = child.stdout
      .pipeThrough(new TextDecoderStream() as never)
      .getReader() as ReadableStreamDefaultReader<string>
    expect((await reader.read()).value).toBe('first\n')
    await sandbox.writeTextFile({ path: 'go', content: '' })
    expect((await reader.read()).value).toBe('last\n')
    expect((await reader.read()).done).toBe(true)
    expect(await textOf(child.stderr)).toBe('err\n')
    expect(await child.wait()).toEqual({ exitCode: 5 })
    expect(child).not.toHaveProperty('stdin')
    expect((await agent.exec('bash', 'ls -A /tmp | grep -c theazo-spawn')).stdout).toBe('0\n')
  })

  test('keeps every byte of a large output', async () => {
    const program = 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 45_000)'
    const child = await sandbox.spawn({ command: `python3 -c '${program}'` })
    const output = await new Response(child.stdout as never).bytes()
    expect(output.length).toBe(256 * 45_000) // more than one exec may print
    expect(output.every((byte, index) => byte === index % 256)).toBe(true)
    expect(await child.wait()).toEqual({ exitCode: 0 })
  })

  test('has the working directory, the variables and the process id', async () => {
    const child = await sandbox.spawn({
      command: 'pwd; echo "$A"; echo $PPID',
      workingDirectory: 'folder',
      env: { A: "it's" },
    })
    expect(await textOf(child.stdout)).toBe(`/workspace/folder\nit's\n${child.pid}\n`)
  })

  test('without stdin it is closed; with stdin the process reads what is written, up to the end', async () => {
    const none = await sandbox.spawn({ command: 'cat; echo end' })
    expect(await textOf(none.stdout)).toBe('end\n')
    const child = await sandbox.spawn({ command: 'read line; echo "got $line"; wc -c', stdin: true })
    const writer = child.stdin.getWriter()
    await writer.write(new TextEncoder().encode('hello\n'))
    await writer.write(bytes)
    await writer.write(new Uint8Array(200_000)) // more than a pipe holds
    await writer.close()
    expect(await textOf(child.stdout)).toBe(`got hello\n${200_256}\n`)
    expect(await child.wait()).toEqual({ exitCode: 0 })
  })

  test('a write after the end of the process is an error', async () => {
    const child = await sandbox.spawn({ command: 'true', stdin: true })
    await child.wait()
    await expect(child.stdin.getWriter().write(bytes)).rejects.toThrow('The process has ended.')
  })

  test('a write that the process does not read is an error', async () => {
    const child = await sandbox.spawn({ command: 'head -c 1 > /dev/null; exec 0<&-; sleep 4242', stdin: true })
    const writer = child.stdin.getWriter()
    writer.closed.catch(() => {})
    await expect(writer.write(new Uint8Array(200_000))).rejects.toMatchObject({ code: 'spawn_error' })
    await child.kill()
  })

  test('kill ends the process with its children, and may be called again', async () => {
    const child = await sandbox.spawn({ command: 'sleep 4242 & echo on; sleep 4242' })
    expect((await child.stdout.getReader().read()).done).toBe(false)
    expect(await processes()).toBe('2')
    await child.kill()
    await child.kill()
    expect(await child.wait()).toEqual({ exitCode: 137 })
    expect(await processes()).toBe('0')
  })

  test('an abort kills it: wait rejects with the reason, and the streams end', async () => {
    const stop = new AbortController()
    const child = await sandbox.spawn({ command: 'echo on; sleep 4242', abortSignal: stop.signal })
    const reader = child.stdout.getReader()
    await reader.read()
    const reason = new Error('enough')
    stop.abort(reason)
    await expect(child.wait()).rejects.toBe(reason)
    expect((await reader.read()).done).toBe(true)
    expect(await processes()).toBe('0')
  })

  test('an abort while the connection is down kills it when the connection is back', async () => {
    let refused = 0
    const exec: Agent['exec'] = (language, code, options) => {
      if (!code.startsWith('kill -KILL') || refused > 0) return agent.exec(language, code, options)
      refused += 1
      throw new ConnectionError('The connection was lost.', { code: 'connection_error' })
    }
    const stop = new AbortController()
    const flaky = theazoSandbox({ exec, files: agent.files })
    const child = await flaky.spawn({ command: 'sleep 4242', abortSignal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(child.wait()).rejects.toThrow('enough')
    expect(refused).toBe(1)
    expect(await processes()).toBe('0')
  })

  test('an abort while it starts leaves no process', async () => {
    const stop = new AbortController()
    const spawned = sandbox.spawn({ command: 'sleep 4242', abortSignal: stop.signal })
    stop.abort(new Error('enough'))
    const child = await spawned
    await expect(child.wait()).rejects.toThrow('enough')
    expect(await processes()).toBe('0')
    await expect(sandbox.spawn({ command: 'sleep 4242', abortSignal: stop.signal })).rejects.toThrow('enough')
    expect(await processes()).toBe('0')
  })
})

test('an aborted signal stops every method before its request', async () => {
  const never: Pick<Agent, 'exec' | 'files'> = { exec: () => expect.fail('it has sent a request'), files: agent.files }
  const abortSignal = AbortSignal.abort(new Error('enough'))
  const aborted = theazoSandbox(agent)
  const bound = bindSignal(aborted, abortSignal)
  const path = 'file'
  const content = 'x'
  const stream = new Blob([content]).stream()
  const calls = [
    bound.run({ command: 'true' }),
    bound.spawn({ command: 'true' }),
    bound.readFile({ path }),
    bound.readBinaryFile({ path }),
    bound.readTextFile({ path }),
    bound.writeFile({ path, content: stream }),
    bound.writeBinaryFile({ path, content: bytes }),
    bound.writeTextFile({ path, content }),
    bound.stat({ path }),
    bound.listDirectory({ path }),
    bound.deleteFile({ path }),
    theazoSandbox(never).spawn({ command: 'true', abortSignal }),
  ]
  for (const call of calls) await expect(call).rejects.toThrow('enough')
  expect(await sandbox.readTextFile({ path })).toBe('text')
})

test('bindSignal keeps the signal of the call itself', async () => {
  const bound = bindSignal(sandbox, new AbortController().signal)
  await expect(bound.run({ command: 'true', abortSignal: AbortSignal.abort(new Error('own')) })).rejects.toThrow('own')
  expect(await bound.run({ command: 'echo on' })).toMatchObject({ stdout: 'on\n' })
})
