import { expect, test } from 'vitest'
import { CapturedOutput } from './captured-output.ts'

function capture(maxBytes: number, ...chunks: (string | Uint8Array)[]): CapturedOutput {
  const output = new CapturedOutput(maxBytes)
  for (const chunk of chunks) output.push(Buffer.from(chunk))
  return output
}

test('keeps output of exactly the limit', () => {
  const output = capture(4, 'ab', 'cd')
  expect([output.end(), output.isTruncated]).toEqual(['abcd', false])
})

test('drops output over the limit and sets the flag', () => {
  const output = capture(3, 'ab', 'cd', 'ef')
  expect([output.end(), output.isTruncated]).toEqual(['abc', true])
})

test('joins a character that is split over two chunks', () => {
  const bytes = Buffer.from('é')
  expect(capture(10, bytes.subarray(0, 1), bytes.subarray(1)).end()).toBe('é')
})

test('drops a character that the limit splits', () => {
  expect(capture(2, 'aé').end()).toBe('a')
})

test('replaces invalid UTF-8, also at the end', () => {
  expect(capture(10, new Uint8Array([0x61, 0xff, 0x62, 0xc3])).end()).toBe('a\ufffdb\ufffd')
})

test('keeps a byte order mark', () => {
  expect(capture(10, '\ufeffa').end()).toBe('\ufeffa')
})
