import { expect, test } from 'vitest'
import { toBase64 } from './base64.ts'

test('the base64 of bytes of any length equals that of Node', () => {
  for (let length = 0; length < 100; length += 1) {
    const bytes = crypto.getRandomValues(new Uint8Array(length))
    expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'))
  }
  const large = new Uint8Array(1_000_003).map((_, index) => index * 7)
  expect(toBase64(large)).toBe(Buffer.from(large).toString('base64'))
  expect(toBase64(large.subarray(5, 12))).toBe(Buffer.from(large.subarray(5, 12)).toString('base64'))
})
