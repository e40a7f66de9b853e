// The tools of the catalog in a real sandbox.
import { type Agent, Theazo } from '@theazo/core'
import {
  type AnyTool,
  deleteFile,
  editFile,
  getUsage,
  listFiles,
  readFile,
  runCode,
  selectTools,
  toolGroups,
  type ToolResult,
  type ToolSandbox,
  writeFile,
} from '@theazo/core/tools'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod/v4'

let local: LocalTheazo
let sandbox: Agent
beforeAll(async () => {
  local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('tools')
  sandbox = await session.agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())
beforeEach(async () => {
  await sandbox.exec('bash', 'find /workspace -mindepth 1 -delete')
})

/** An image of one pixel. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

function dataOf<Data>(result: ToolResult<Data>): Data {
  if (result.isError) expect.fail(result.text)
  return result.data
}

describe('files', () => {
  test('a file is written, listed, read and deleted', async () => {
    expect(await writeFile.run({ path: 'docs/a b.md', content: '# Hä\n' }, { sandbox })).toMatchObject({
      text: 'Wrote docs/a b.md (6 bytes).',
      data: { path: 'docs/a b.md', sizeBytes: 6 },
    })
    expect(await readFile.run({ path: 'docs/a b.md' }, { sandbox })).toMatchObject({ text: '# Hä\n' })
    const listed = await listFiles.run({ recursive: true }, { sandbox })
    expect(listed.text).toBe('docs/\ndocs/a b.md (6 bytes)')
    expect((await deleteFile.run({ path: 'docs', recursive: true }, { sandbox })).text).toBe('Deleted docs.')
    expect((await listFiles.run({}, { sandbox })).text).toBe('/workspace is empty.')
  })

  test('a long file is read in parts that state how to read on, and that form the whole file', async () => {
    const whole = Array.from({ length: 4500 }, (_, index) => `line ${index + 1}\n`).join('')
    await writeFile.run({ path: 'long', content: whole }, { sandbox })
    let text = ''
    let startLine: number | undefined = 1
    while (startLine !== undefined) {
      const result: Awaited<ReturnType<typeof readFile.run>> = await readFile.run(
        { path: 'long', startLine },
        { sandbox },
      )
      text += dataOf(result).text
      const next: string | undefined = /Continue with startLine (\d+)/.exec(result.text)?.[1]
      startLine = next === undefined ? undefined : Number(next)
    }
    expect(text).toBe(whole)
    const part = await readFile.run({ path: 'long', startLine: 10, lineCount: 2 }, { sandbox })
    expect(part.text).toBe('line 10\nline 11\n[lines 10 to 11 of 4500. Continue with startLine 12.]')
    expect(await readFile.run({ path: 'long', startLine: 9999 }, { sandbox })).toMatchObject({
      isError: true,
      text: expect.stringContaining('has 4500 lines'),
    })
  })

  test('a long line is cut, an empty file is reported, and binary content is not shown', async () => {
    await sandbox.files.write('line', 'x'.repeat(100_000))
    await sandbox.files.write('empty', '')
    await sandbox.files.write('blank', ' \n\t\n')
    await sandbox.files.write('binary', new Uint8Array([1, 0, 2]))
    expect((await readFile.run({ path: 'line' }, { sandbox })).text).toMatch(/characters cut/)
    expect((await readFile.run({ path: 'empty' }, { sandbox })).text).toBe('empty is empty.')
    const blank = await readFile.run({ path: 'blank' }, { sandbox })
    expect(blank.text).toBe('blank has only white space in lines 1 to 2 of 2.')
    expect((await readFile.run({ path: 'binary' }, { sandbox })).text).toMatch(/is not text \(3 bytes\)/)
  })

  test('an image is returned as an image', async () => {
    await sandbox.files.write('dot.png', Buffer.from(png, 'base64'))
    expect(await readFile.run({ path: 'dot.png' }, { sandbox })).toMatchObject({
      text: 'dot.png: an image of 1×1 pixels (70 bytes).',
      images: [{ path: 'dot.png', mediaType: 'image/png', base64: png, width: 1, height: 1 }],
    })
  })

  test('an edit replaces text that occurs exactly once', async () => {
    await sandbox.files.write('a.py', 'a = 1\nb = 2\n')
    const edited = await editFile.run({ path: 'a.py', oldText: 'b = 2', newText: "b = '$&'" }, { sandbox })
    expect(edited).toMatchObject({ text: 'Edited a.py at line 2.', data: { count: 1, lines: [2] } })
    expect(await sandbox.files.readText('a.py')).toBe("a = 1\nb = '$&'\n")
  })

  test.each([
    ['not there', { oldText: 'c = 3', newText: '' }, 'Read the file again'],
    [
      'there with other white space',
      { oldText: 'def f():\n  return 1', newText: '' },
      'with other white space at line 1',
    ],
    ['there several times', { oldText: 'return', newText: '' }, 'occurs in a.py 2 times, at lines 2, 4'],
    ['the same as the new one', { oldText: 'x', newText: 'x' }, 'nothing would change'],
  ])('an edit whose text is %s reports that and changes nothing', async (_what, edit, message) => {
    const before = 'def f():\n    return 1\ndef g():\n    return 2\n'
    await sandbox.files.write('a.py', before)
    const result = await editFile.run({ path: 'a.py', ...edit }, { sandbox })
    expect(result).toMatchObject({ isError: true, text: expect.stringContaining(message) })
    expect(await sandbox.files.readText('a.py')).toBe(before)
  })

  test('an edit of many places takes one pass, and text that overlaps itself is ambiguous', async () => {
    await sandbox.files.write('many', 'x\n'.repeat(200_000))
    const result = await editFile.run({ path: 'many', oldText: 'x', newText: 'y', replaceAll: true }, { sandbox })
    expect(dataOf(result)).toMatchObject({ count: 200_000, lines: Array.from({ length: 20 }, (_, index) => index + 1) })
    expect(result.text).toMatch(/^Edited 200000 places of many at lines 1, 2, .*, 20, …\.$/)
    expect((await sandbox.files.readText('many')).slice(0, 4)).toBe('y\ny\n')
    await sandbox.files.write('twice', 'a\na\na\n')
    const refused = await editFile.run({ path: 'twice', oldText: 'a\na\n', newText: '' }, { sandbox })
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('at lines 1, 2') })
  })

  test.each([
    [{ startLine: 0 }, 1, 3],
    [{ startLine: -5, lineCount: 0 }, 1, 3],
    [{ startLine: 1.5, lineCount: 1.2 }, 1, 1],
    [{ startLine: Number.NaN }, 1, 3],
    [{ lineCount: 1e9 }, 1, 3],
  ])('lines out of bounds are clamped: %j', async (lines, startLine, endLine) => {
    await sandbox.files.write('three', '1\n2\n3')
    const result = await readFile.run({ path: 'three', ...lines }, { sandbox })
    expect(dataOf(result)).toMatchObject({ startLine, endLine, totalLines: 3 })
  })

  test('an edit can replace all places, works with CRLF, and refuses a binary file', async () => {
    await sandbox.files.write('a', 'x\nx\n')
    await editFile.run({ path: 'a', oldText: 'x', newText: 'yy', replaceAll: true }, { sandbox })
    expect(await sandbox.files.readText('a')).toBe('yy\nyy\n')
    await sandbox.files.write('crlf', 'one\r\ntwo\r\n')
    await editFile.run({ path: 'crlf', oldText: 'one\ntwo', newText: '1\n2' }, { sandbox })
    expect(await sandbox.files.readText('crlf')).toBe('1\r\n2\r\n')
    await sandbox.files.write('latin', new Uint8Array([0xe4, 0x62]))
    const refused = await editFile.run({ path: 'latin', oldText: 'b', newText: 'c' }, { sandbox })
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('not UTF-8') })
  })

  test('a missing file is an error that the model can act on', async () => {
    const result = await readFile.run({ path: 'nope' }, { sandbox })
    expect(result).toMatchObject({ isError: true, error: { code: 'file_not_found', details: { path: 'nope' } } })
    expect(result.text).toMatch(/nope.*Check the path with list_files/s)
  })

  test('a list reports entries that it does not show', async () => {
    await sandbox.exec('bash', 'for i in {1..600}; do : > f$i; done')
    const result = await listFiles.run({}, { sandbox })
    expect(dataOf(result)).toMatchObject({ isTruncated: true, entries: { length: 500 } })
    expect(result.text).toContain('only the first 500')
    await sandbox.exec(
      'bash',
      'name=$(printf "é%.0s" {1..120}); mkdir $name; for i in {1..600}; do : > $name/$name$i; done',
    )
    const long = await listFiles.run({ recursive: true, path: '/workspace' }, { sandbox })
    const shown = dataOf(long)
      .entries.map(({ name }) => name)
      .join('')
    expect([shown.length <= 30_000, long.text.length < 60_000, dataOf(long).isTruncated]).toEqual([true, true, true])
  })
})

describe('inputs that models write', () => {
  test.each(['~/notes.txt', '$HOME/notes.txt', 'file:///home/agent/notes.txt', '"~/notes.txt"'])(
    'the path %s is a file in the home folder',
    async (path) => {
      await sandbox.exec('bash', 'rm -f ~/notes.txt')
      expect((await writeFile.run({ path, content: 'hi\n' }, { sandbox })).text).toBe(
        'Wrote /home/agent/notes.txt (3 bytes).',
      )
      const { stdout } = await sandbox.exec('bash', 'cat ~/notes.txt; ls -A /workspace')
      expect(stdout).toBe('hi\n')
      expect((await readFile.run({ path }, { sandbox })).text).toBe('hi\n')
      expect((await editFile.run({ path, oldText: 'hi', newText: 'ho' }, { sandbox })).isError).toBe(false)
      expect((await listFiles.run({ path: '~' }, { sandbox })).text).toContain('notes.txt (3 bytes)')
      expect((await deleteFile.run({ path }, { sandbox })).text).toBe('Deleted /home/agent/notes.txt.')
    },
  )

  test('agent.files uses a path literally, and so do the tools for ./~', async () => {
    await sandbox.files.write('~/notes.txt', 'literal')
    expect((await sandbox.exec('bash', 'cat ./~/notes.txt')).stdout).toBe('literal')
    expect((await readFile.run({ path: './~/notes.txt' }, { sandbox })).text).toBe('literal')
  })

  test('an edit without a match in a long line of emoji returns well-formed text within the size limit', async () => {
    for (const prefix of ['', 'x']) {
      await sandbox.files.write('emoji', `${prefix}${'😀'.repeat(40_000)}\n`)
      const oldText = `  ${prefix}${'😀'.repeat(40_000)}`
      const result = await editFile.run({ path: 'emoji', oldText, newText: '' }, { sandbox })
      expect(result).toMatchObject({ isError: true, text: expect.stringContaining('with other white space') })
      expect([result.text.isWellFormed(), result.text.length < 8001]).toEqual([true, true])
    }
  })

  test('a timeout out of range, as text or null is accepted', async () => {
    for (const timeoutSeconds of [null, '30', 300, '']) {
      const input = { language: 'bash', code: 'echo ran', timeoutSeconds } as never // a model may send this
      expect((await runCode.run(input, { sandbox })).text).toBe('ran')
    }
  })

  test('an empty oldText is refused immediately, and the file does not change', async () => {
    await sandbox.files.write('big', 'x'.repeat(5_000_000))
    const result = await editFile.run({ path: 'big', oldText: '', newText: 'y', replaceAll: true }, { sandbox })
    expect(result).toMatchObject({ isError: true, error: { code: 'tool_input' } })
    expect((await sandbox.files.stat('big')).sizeBytes).toBe(5_000_000)
  })

  test('an edit that makes a file too large or changes too many places is refused', async () => {
    await sandbox.files.write('many', 'a'.repeat(3_000_000))
    const edit = { path: 'many', oldText: 'a', replaceAll: true }
    for (const newText of ['b', 'b'.repeat(60)]) {
      const result = await editFile.run({ ...edit, newText }, { sandbox })
      expect(result).toMatchObject({ isError: true, text: expect.stringContaining('too large for this tool') })
    }
    const twice = await editFile.run({ path: 'many', oldText: 'aaaa', newText: 'b' }, { sandbox })
    expect(twice.text).toMatch(/occurs in many 100 times or more, at lines 1\./)
  })

  test('a file of only line ends is read and searched quickly', async () => {
    await sandbox.files.write('lines', '\n'.repeat(9_000_000))
    const read = await readFile.run({ path: 'lines', startLine: 8_999_999 }, { sandbox })
    expect(read.text).toBe('lines has only white space in lines 8999999 to 9000000 of 9000000.')
    const miss = await editFile.run({ path: 'lines', oldText: 'x', newText: '' }, { sandbox })
    expect(miss.text).toContain('does not occur in lines')
  })

  test('a name with a line break is one quoted entry', async () => {
    await sandbox.exec('bash', "touch $'a\\nfake (3 bytes)'")
    expect((await listFiles.run({}, { sandbox })).text).toBe('"a\\nfake (3 bytes)" (0 bytes)')
  })

  test('a name that is not UTF-8 is listed as well-formed text', async () => {
    await sandbox.exec('bash', "touch $'a\\xff'")
    const result = await listFiles.run({}, { sandbox })
    expect(result.text).toBe('a\ufffd (0 bytes)')
    expect(JSON.stringify(dataOf(result))).not.toContain('\\udc')
  })
})

describe('run_code', () => {
  /** The sandbox, with the files that a server with `exec-files` would report. */
  function reporting(files: { path: string; sizeBytes: number }[]): ToolSandbox {
    return {
      id: sandbox.id,
      exec: async (lang, code, options) => ({ ...(await sandbox.exec(lang, code, options)), files }),
    }
  }

  test('images that the code saved are returned as images, and other files by name', async () => {
    const code = `import base64, shutil\nopen('a.png', 'wb').write(base64.b64decode('${png}'))\nopen('b.csv', 'w').write('1,2')`
    const files = [
      { path: '/workspace/a.png', sizeBytes: 70 },
      { path: '/workspace/b.csv', sizeBytes: 3 },
      { path: '/workspace/gone.png', sizeBytes: 70 },
      { path: '/workspace/huge.png', sizeBytes: 50_000_000 },
    ]
    const result = await runCode.run({ language: 'python', code }, { sandbox: reporting(files) })
    expect(result).toMatchObject({
      isError: false,
      images: [{ path: '/workspace/a.png', mediaType: 'image/png', base64: png }],
      data: {
        hiddenImages: [
          { path: '/workspace/gone.png', reason: expect.stringContaining('file_not_found') },
          { path: '/workspace/huge.png', reason: expect.stringContaining('at most 3.0 MiB') },
        ],
      },
    })
    expect(result.text).toContain('[image not shown: /workspace/huge.png: 47.7 MiB')
    expect(result.text).toContain('[files made or changed: /workspace/a.png (70 bytes), /workspace/b.csv (3 bytes)')
    expect(dataOf(result).files).toEqual(files)
    expect(runCode.output.safeParse(dataOf(result)).success).toBe(true)
  })

  test('at most four images are returned, and the others are named', async () => {
    const code = `import base64\nfor i in range(6): open(f'{i}.png', 'wb').write(base64.b64decode('${png}'))`
    const files = Array.from({ length: 6 }, (_, index) => ({ path: `/workspace/${index}.png`, sizeBytes: 70 }))
    const result = await runCode.run({ language: 'python', code }, { sandbox: reporting(files) })
    expect(dataOf(result).images).toHaveLength(4)
    expect(result.text).toContain('[image not shown: /workspace/5.png: only 4 images are shown at a time]')
  })

  test.each([
    ['only a signature', 'iVBORw0KGgo=', 'damaged or not complete'],
    ['cut', png.slice(0, 60), 'damaged or not complete'],
    ['not an image', 'aGVsbG8=', 'not a PNG, JPEG, GIF or WebP image'],
  ])('an image that a provider would refuse is omitted with the reason: %s', async (_what, base64, reason) => {
    const code = `import base64; open('bad.png', 'wb').write(base64.b64decode('${base64}'))`
    const result = await runCode.run({ language: 'python', code }, { sandbox })
    expect(dataOf(result)).toMatchObject({ hiddenImages: [{ path: '/workspace/bad.png' }] })
    expect(dataOf(result).images).toBeUndefined()
    expect(result.text).toContain(
      `[image not shown: /workspace/bad.png: ${base64 === 'aGVsbG8=' ? reason : `the file is ${reason}`}]`,
    )
  })

  test('of hundreds of omitted images only some are named', async () => {
    const code = "for i in range(90): open(f'{i}.png', 'w').write('x')"
    const result = await runCode.run({ language: 'python', code }, { sandbox })
    expect(dataOf(result).hiddenImages).toHaveLength(21)
    expect(result.text).toContain('[image not shown: 70 more: see the files made or changed]')
  })

  test('with images switched off, run_code and read_file name them and do not read them', async () => {
    const code = `import base64; open('a.png', 'wb').write(base64.b64decode('${png}'))`
    const result = await runCode.run({ language: 'python', code }, { sandbox, images: false })
    expect(result).toMatchObject({ images: [], text: expect.stringContaining('a.png: images are switched off here') })
    const read = await readFile.run({ path: 'a.png' }, { sandbox, images: false })
    expect(read).toMatchObject({ images: [], text: expect.stringContaining('a.png: images are switched off here') })
  })

  test('an image with more pixels per side than providers accept is omitted with its size', async () => {
    const wide = `
import struct, zlib
def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
pixels = zlib.compress(bytes(1 + 8001 // 8 + 1))
open('wide.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 8001, 1, 1, 0, 0, 0, 0)) + chunk(b'IDAT', pixels) + chunk(b'IEND', b''))`
    const result = await runCode.run({ language: 'python', code: wide }, { sandbox })
    expect(result.text).toContain(
      '[image not shown: /workspace/wide.png: 8001×1 pixels; at most 8000 a side can be shown]',
    )
  })

  test('output is reported while the code still runs', async () => {
    const messages: string[] = []
    const report = ({ message }: { message: string }): void => void messages.push(message)
    await runCode.run({ language: 'bash', code: 'echo out; echo err >&2' }, { sandbox, report })
    expect(messages.toSorted()).toEqual(['err\n', 'out\n'])
  })
})

describe('the catalog', () => {
  test('contains every tool once, and selects those for code and files by default', () => {
    const names = Object.values(toolGroups).flatMap((tools) => tools.map(({ name }) => name))
    const files = ['read_file', 'write_file', 'edit_file', 'list_files', 'delete_file']
    const tasks = ['run_task', 'start_task', 'get_task', 'cancel_task']
    const agents = ['get_agent', 'pause_agent', 'resume_agent', 'terminate_agent', 'create_agent', 'list_agents']
    expect(names).toEqual(['run_code', ...files, ...tasks, 'get_usage', ...agents])
    expect(selectTools().map(({ name }) => name)).toEqual(['run_code', ...files])
    expect(selectTools({ groups: 'all' }).map(({ name }) => name)).toEqual(names)
    expect(selectTools({ only: ['get_usage', 'run_code'] }).map(({ name }) => name)).toEqual(['run_code', 'get_usage'])
    expect(selectTools({ groups: ['files'], only: ['run_code', 'read_file'] }).map(({ name }) => name)).toEqual([
      'read_file',
    ])
    expect(() => selectTools({ only: ['runcode' as 'run_code'] })).toThrow("there is no 'runcode'; there are run_code,")
    expect(() => selectTools({ groups: ['file' as 'files'] })).toThrow("groups: there is no 'file'")
    const readOnly = selectTools({ groups: ['files', 'code'], readOnly: true }).map(({ name }) => name)
    expect(readOnly).toEqual(['read_file', 'list_files'])
  })

  test('has only inputs of strings, enums, bounded integers and booleans, each described with its bounds', () => {
    for (const tool of Object.values(toolGroups).flat() as AnyTool[]) {
      const schema = z.toJSONSchema(tool.input) as {
        type: string
        properties?: Record<string, Record<string, unknown>>
      }
      expect(schema.type).toBe('object')
      for (const [name, property] of Object.entries(schema.properties ?? {})) {
        const what = `${tool.name}.${name}`
        expect([what, ['string', 'integer', 'boolean'].includes(String(property['type']))]).toEqual([what, true])
        expect([what, typeof property['description']]).toEqual([what, 'string'])
        expect([what, 'default' in property]).toEqual([what, false])
        if (property['type'] === 'integer') {
          expect([what, typeof property['minimum'], typeof property['maximum']]).toEqual([what, 'number', 'number'])
          expect([what, /\d+ (to|or) /.test(String(property['description']))]).toEqual([what, true])
        }
      }
    }
  })

  test('a tool that needs more than a sandbox reports that to the model', async () => {
    const result = await getUsage.run({}, { sandbox })
    expect(result).toMatchObject({ isError: true, error: { code: 'not_supported' } })
    expect(result.text).toContain('it needs an account')
    for (const tool of [...toolGroups.task, ...toolGroups['background-tasks']]) {
      const bare: ToolSandbox = { id: 'agt_1', exec: (...args) => sandbox.exec(...args) }
      const refused = await tool.run({ task: 'x', taskId: 'task_1' }, { sandbox: bare })
      expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('model loop') })
    }
  })
})
