import { expect, test } from 'vitest'
import { CapturedOutput } from './captured-output.ts'

function capture(maxBytes: number, ...chunks: (string | Uint8Array)[]): CapturedOutput {
  const output = new CapturedOutput(maxBytes)
  for (const chunk of chunks) output.push(Buffer.from(chunk))
  return output
}

test('what fits exactly is whole', () => {
  const output = capture(4, 'ab', 'cd')
  expect([output.end(), output.isTruncated]).toEqual(['abcd', false])
})

test('what is over the cap is dropped and flagged', () => {
  const output = capture(3, 'ab', 'cd', 'ef')
  expect([output.end(), output.isTruncated]).toEqual(['abc', true])
})

test('a character split over two chunks is one character', () => {
  const bytes = Buffer.from('é')
  expect(capture(10, bytes.subarray(0, 1), bytes.subarray(1)).end()).toBe('é')
})

test('a character that the cap cuts in two is left out', () => {
  expect(capture(2, 'aé').end()).toBe('a')
})

test('bytes that are not UTF-8 are replaced, also at the end', () => {
  expect(capture(10, new Uint8Array([0x61, 0xff, 0x62, 0xc3])).end()).toBe('a\ufffdb\ufffd')
})

test('a byte order mark is output like any other', () => {
  expect(capture(10, '\ufeffa').end()).toBe('\ufeffa')
})
