import { expect, test } from 'vitest'
import { LineIndex } from './line-index.ts'
import { occurrences } from './occurrences.ts'

test.each([
  ['abcabc', 'abc', true, [0, 3]],
  ['aaaa', 'aa', true, [0, 1, 2]],
  ['aaaa', 'aa', false, [0, 2]],
  ['a\na\na\n', 'a\na\n', true, [0, 2]],
  ['abababab', 'abab', false, [0, 4]],
  ['abc', 'd', true, []],
  ['', 'a', true, []],
  ['a', 'ab', true, []],
])('%j has %j (overlapping: %j) at %j', (text, part, isOverlapping, places) => {
  expect(occurrences(text, part, isOverlapping, 10)).toEqual(places)
})

test('the search ends after maxCount occurrences', () => {
  expect(occurrences('aaaa', 'a', true, 2)).toEqual([0, 1])
})

test('a repetitive text is searched in one pass', () => {
  const text = '-'.repeat(2_000_000)
  expect(occurrences(text, `x${'-'.repeat(20_000)}`, true, 100)).toEqual([])
  expect(occurrences(text, '-'.repeat(20_000), true, 100)).toHaveLength(100)
})

test.each([
  ['', 0],
  ['a', 1],
  ['a\n', 1],
  ['a\nb', 2],
  ['\n\n', 2],
])('%j has %i lines', (text, count) => {
  expect(new LineIndex(new TextEncoder().encode(text)).count).toBe(count)
})

test('whole lines are read: as many as fit, at least one', () => {
  const lines = new LineIndex(new TextEncoder().encode('é1\n😀2\nthree\nfour'))
  expect(lines.read(1, 10, 100)).toEqual({ text: 'é1\n😀2\nthree\nfour', endLine: 4 })
  expect(lines.read(2, 2, 100)).toEqual({ text: '😀2\nthree\n', endLine: 3 })
  expect(lines.read(2, 2, 5)).toEqual({ text: '😀2\n', endLine: 2 })
  expect(lines.read(3, 5, 1)).toEqual({ text: 'three\n', endLine: 3 })
  expect(new LineIndex(new Uint8Array()).read(1, 5, 10)).toEqual({ text: '', endLine: 0 })
})
