import { expect, test } from 'vitest'
import { cleanData, modelText, truncate } from './model-text.ts'

test('a text within the cap is unchanged', () => {
  expect(truncate('abcd', 4)).toBe('abcd')
})

test('a longer text is cut in the middle, with a note, to the length of the cap', () => {
  const text = truncate(`head${'x'.repeat(1000)}tail`, 100)
  expect(text).toMatch(/^headx+\n\[… 9\d\d of 1008 characters cut …\]\nx+tail$/)
  expect(text.length).toBeLessThanOrEqual(100)
})

test('a cut never splits a surrogate pair', () => {
  for (let maxChars = 0; maxChars < 90; maxChars += 1) {
    for (const text of ['😀'.repeat(100), `x${'😀'.repeat(100)}`]) {
      const cut = truncate(text, maxChars)
      expect([cut.isWellFormed(), cut.length <= maxChars]).toEqual([true, true])
    }
  }
})

test.each(['', ' ', '\n', '\t\r\n', '\u00a0\u2003', '\u200b\ufeff', '\x1c\x85\x7f'])(
  'a text without a visible character is replaced: %j',
  (text) => expect(modelText(text)).toBe('(no output)'),
)

test('NUL and half of a surrogate pair are replaced in a text for a model', () => {
  expect(modelText('a\0b\ud83d c \ude00')).toBe('a␀b\ufffd c \ufffd')
  expect(modelText('\0')).toBe('␀')
})

test('every string of data is cleaned, and data without changes is the same object', () => {
  const clean = { text: 'a', list: [1, { b: '😀' }], none: null }
  expect(cleanData(clean)).toBe(clean)
  expect(cleanData({ text: 'a\0', list: ['\ud83d', 2] })).toEqual({ text: 'a␀', list: ['\ufffd', 2] })
})
