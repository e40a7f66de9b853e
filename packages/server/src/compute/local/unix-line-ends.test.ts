import { expect, test } from 'vitest'
import { withUnixLineEnds } from './unix-line-ends.ts'

test.each([
  ['echo a\r\necho b\r\n', 'echo a\necho b\n'],
  ['echo a\r\necho b', 'echo a\necho b'],
  ['echo a\r\necho b\r', 'echo a\necho b'],
  ['\r\nif true\r\n\r\nthen :; fi\r\n', '\nif true\n\nthen :; fi\n'],
  ["printf 'a\rb'\r\n", "printf 'a\rb'\n"],
  ['echo a\ncat <<END\nHTTP\r\n\r\nEND\n', 'echo a\ncat <<END\nHTTP\r\n\r\nEND\n'],
  ["printf 'a\r'", "printf 'a\r'"],
  ['', ''],
])('%j becomes %j', (script, expected) => {
  expect(withUnixLineEnds(script)).toBe(expected)
})
