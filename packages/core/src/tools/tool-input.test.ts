import { expect, test } from 'vitest'
import type { AnyTool } from './catalog.ts'
import { editFile } from './edit-file.ts'
import { listFiles } from './list-files.ts'
import { readFile } from './read-file.ts'
import { runCode } from './run-code.ts'
import { runTask } from './run-task.ts'
import { inputSchemaOf, parseToolInput } from './tool-input.ts'
import { writeFile } from './write-file.ts'

const code = { language: 'bash', code: 'true' }

function faultOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toMatchObject({ name: 'ToolInputError', code: 'tool_input' })
    return (error as Error).message
  }
  return expect.fail('no error')
}

test.each([
  [null, undefined],
  [undefined, undefined],
  ['', undefined],
  ['30', 30],
  [' 30 ', 30],
  ['1e1', 10],
  ['+7.9', 7],
  [300, 120],
  ['300', 120],
  [-5, undefined],
  ['-1', undefined],
  [0, undefined],
  ['0', undefined],
  [0.2, 1],
  [Infinity, 120],
  [Number.NaN, undefined],
])('timeoutSeconds %j is read as %j', (timeoutSeconds, meant) => {
  expect(parseToolInput(runCode, { ...code, timeoutSeconds })).toEqual({
    ...code,
    ...(meant !== undefined && { timeoutSeconds: meant }),
  })
})

test.each([['thirty'], [{}], [[30]], [true], ['30s'], ['0x10']])(
  'timeoutSeconds %j has no clear meaning: the error names the field and its valid values',
  (timeoutSeconds) => {
    expect(faultOf(() => parseToolInput(runCode, { ...code, timeoutSeconds }))).toMatch(
      /^run_code did not run\. timeoutSeconds must be a whole number from 1 to 120, not .+\.$/,
    )
  },
)

test.each([
  ['Python', 'python'],
  [' BASH ', 'bash'],
  ['py', 'python'],
  ['javascript', 'typescript'],
  ['sh', 'bash'],
])('language %j is read as %j', (language, meant) => {
  expect(parseToolInput(runCode, { language, code: '1' })).toEqual({ language: meant, code: '1' })
})

test.each([
  ['true', true],
  ['False', false],
  [1, true],
  [0, false],
  ['', false],
  [null, undefined],
])('a flag %j is read as %j', (recursive, meant) => {
  expect(parseToolInput(listFiles, { recursive }).recursive).toBe(meant)
})

test('names in another spelling, numbers for text and the whole input as JSON text are accepted', () => {
  const edit = { path: 'a', old_text: 'x', NewText: 'y', 'replace-all': 'yes' }
  expect(parseToolInput(editFile, edit)).toEqual({ path: 'a', oldText: 'x', newText: 'y', replaceAll: true })
  expect(parseToolInput(writeFile, { path: 1, content: 2 })).toEqual({ path: '1', content: '2' })
  expect(parseToolInput(runCode, JSON.stringify(code))).toEqual(code)
  expect(parseToolInput(listFiles, '')).toEqual({})
  expect(parseToolInput(listFiles, undefined)).toEqual({})
  expect(parseToolInput(listFiles, { path: '' })).toEqual({})
  expect(parseToolInput(listFiles, { path: '  ' })).toEqual({})
  const other = { file_path: 'a', old_string: 'x', new_string: 'y' }
  expect(parseToolInput(editFile, other)).toEqual({ path: 'a', oldText: 'x', newText: 'y' })
  expect(parseToolInput(runCode, { lang: 'bash', code: '1', timeout: 5 })).toMatchObject({ timeoutSeconds: 5 })
  expect(parseToolInput(readFile, { path: 'a', startLine: '5', unknown: 1 })).toEqual({ path: 'a', startLine: 5 })
})

test('the exact name of a field takes precedence over another spelling', () => {
  expect(parseToolInput(readFile, { start_line: 9, startLine: 2, path: 'a' }).startLine).toBe(2)
})

test.each([
  [runCode, { language: 'ruby', code: '1' }, "language must be 'python' or 'typescript' or 'bash', not \"ruby\"."],
  [runCode, { language: 'bash' }, 'code is missing: text. The program.'],
  [runCode, { language: 'bash', code: ['a'] }, 'code must be text, not a list.'],
  [editFile, { path: 'a', oldText: '', newText: 'b' }, 'oldText must be text of at least 1 character, not "".'],
  [
    editFile,
    { path: '', oldText: 'a', newText: 'b' },
    'path must be text of at least 1 and at most 4096 characters, not "".',
  ],
  [runCode, {}, "language is missing: 'python' or 'typescript' or 'bash'."],
  [writeFile, { where: 'a', content: 'b' }, 'path is missing: text of at least 1'],
  [writeFile, { where: 'a', content: 'b' }, 'Unknown fields: "where".'],
  [writeFile, { path: 'a', content: { b: 1 } }, 'content must be text, not an object.'],
  [runTask, [], 'must be a JSON object, not a list.'],
  [runTask, 'do it', 'must be a JSON object, not "do it".'],
  [runTask, 7, 'must be a JSON object, not 7.'],
])('%o: the error for the input %j names the field', (tool, input, message) => {
  expect(faultOf(() => parseToolInput(tool as AnyTool, input))).toContain(message)
})

test('an error shows only the start of a long value', () => {
  const fault = faultOf(() => parseToolInput(runCode, { language: '😀'.repeat(1_000_000), code: '' }))
  expect([fault.length < 300, fault.isWellFormed()]).toEqual([true, true])
})

test('the error for a value that JSON cannot represent names the field', () => {
  for (const timeoutSeconds of [30n, Symbol('x'), () => 1]) {
    expect(faultOf(() => parseToolInput(runCode, { ...code, timeoutSeconds }))).toContain('timeoutSeconds must be')
  }
})

test('a property of the prototype is not a field', () => {
  expect(faultOf(() => parseToolInput(runCode, { language: 'constructor', code: '' }))).toContain('"constructor"')
  expect(parseToolInput(listFiles, { constructor: 1, __proto__: { path: 'x' } })).toEqual({})
})

test('the strict schema requires every property, and allows null for optional ones', () => {
  const properties = { language: expect.anything(), code: expect.anything() }
  expect(inputSchemaOf(runCode)).toMatchObject({ required: ['language', 'code'], additionalProperties: false })
  expect(inputSchemaOf(runCode, { isStrict: true })).toEqual({
    type: 'object',
    properties: {
      ...properties,
      timeoutSeconds: {
        anyOf: [{ type: 'integer' }, { type: 'null' }],
        description: expect.stringContaining('1 to 120'),
      },
    },
    required: ['language', 'code', 'timeoutSeconds'],
    additionalProperties: false,
  })
})
