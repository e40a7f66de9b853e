import { expect, test } from 'vitest'
import { BoundedLines } from './bounded-lines.ts'
import { parseAnswer } from './proxy-answers.ts'

const record = { outcome: 'passed', bytesUp: 1, bytesDown: 2, durationMs: 3 }
const ended = (changes: object): string =>
  JSON.stringify({ kind: 'ended', number: 1, record: { ...record, ...changes } })

test('parses the messages of the proxy', () => {
  expect(parseAnswer('{"kind":"ready"}')).toEqual({ kind: 'ready' })
  const target = { host: 'one.example.org', port: 443 }
  expect(parseAnswer(ended({ target }))).toEqual({ kind: 'ended', number: 1, record: { ...record, target } })
  expect(parseAnswer(ended({}))).toEqual({ kind: 'ended', number: 1, record: { ...record, target: undefined } })
})

test.each([
  ['no JSON', 'nonsense'],
  ['null', 'null'],
  ['a list', '[]'],
  ['deep JSON', '['.repeat(2_000)],
  ['an unknown kind', '{"kind":"obey","number":1}'],
  ['a missing number', '{"kind":"opened"}'],
  ['a number in a string', '{"kind":"opened","number":"1"}'],
  ['another field', '{"kind":"opened","number":1,"path":"/"}'],
  ['a reason that is too long', JSON.stringify({ kind: 'failed', number: 1, reason: 'x'.repeat(1_000) })],
  ['negative bytes', ended({ bytesUp: -1 })],
  ['half a byte', ended({ bytesUp: 0.5 })],
  ['bytes in a string', ended({ bytesUp: '1' })],
  ['2^80 bytes', ended({ bytesDown: 2 ** 80 })],
  ['a duration of null', ended({ durationMs: null })],
  ['an unknown outcome', ended({ outcome: '__proto__' })],
  ['a host with a line break', ended({ target: { host: 'a\nb', port: 1 } })],
  ['a host of 1,000 characters', ended({ target: { host: 'a'.repeat(1_000), port: 1 } })],
  ['an impossible port', ended({ target: { host: 'a', port: 65_536 } })],
  ['a record with the id of an agent', ended({ agentId: 'another' })],
  [
    'a record with a prototype',
    `{"kind":"ended","number":1,"record":${JSON.stringify(record).slice(0, -1)},"__proto__":{}}}`,
  ],
])('rejects %s', (_what, line) => {
  expect(() => parseAnswer(line)).toThrow(/./)
})

test('assembles lines from chunks of any size, and rejects a line that is longer than the limit', () => {
  const lines = new BoundedLines(5)
  expect(lines.push(Buffer.from('ab'))).toEqual([])
  expect(lines.push(Buffer.from('c\n\nde\nf'))).toEqual(['abc', '', 'de'])
  expect(lines.push(Buffer.from('ghij\n'))).toEqual(['fghij'])
  expect(() => lines.push(Buffer.from('123456'))).toThrow(/longer than 5 bytes/)
  expect(() => new BoundedLines(5).push(Buffer.from('123456\n'))).toThrow(/longer than 5 bytes/)
})
