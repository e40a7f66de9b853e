import { expect, test } from 'vitest'
import { bashScript } from './bash-script.ts'

test.each([
  ['echo a\r\necho b\r\n', 'echo a\necho b\n'],
  ['echo a\r\necho b', 'echo a\necho b'],
  ['echo a\r\necho b\r', 'echo a\necho b'],
  ['\r\nif true\r\n\r\nthen :; fi\r\n', '\nif true\n\nthen :; fi\n'],
  ["printf 'a\rb'\r\n", "printf 'a\rb'\n"],
  ['echo a\ncat <<END\nHTTP\r\n\r\nEND\n', 'echo a\ncat <<END\nHTTP\r\n\r\nEND\n'],
  ["printf 'a\r'", "printf 'a\r'"],
  ['\uFEFFecho a\n', 'echo a\n'],
  ['\uFEFFecho a\r\necho b\r\n', 'echo a\necho b\n'],
  ['echo \uFEFF', 'echo \uFEFF'],
  ['', ''],
])('converts the script %j to %j', (script, expected) => {
  expect(bashScript(script)).toBe(expected)
})
