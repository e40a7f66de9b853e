import { expect, test } from 'vitest'
import { truncate } from './truncate.ts'

test('a text that fits is left as it is', () => {
  expect(truncate('abcd', 4)).toBe('abcd')
})

test('a longer one keeps its head and its tail, and says what was cut', () => {
  expect(truncate('abcdefghij', 4)).toBe('ab\n[… 6 of 10 characters cut …]\nij')
})

test('a surrogate pair is never cut in two', () => {
  const text = truncate('😀'.repeat(50), 5)
  expect(text.isWellFormed()).toBe(true)
})
