import { expect, test } from 'vitest'
import { retryAfterMs } from './retry-after.ts'

test.each([
  ['2', 2000],
  [' 0.5 ', 500],
  ['0', 0],
  ['-3', 0],
  ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
  ['', undefined],
  ['soon', undefined],
  [null, undefined],
  [undefined, undefined],
])('a Retry-After of %j is %j ms', (header, ms) => {
  expect(retryAfterMs(header)).toBe(ms)
})

test('a Retry-After may be a date', () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString()
  expect(retryAfterMs(date)).toBeGreaterThan(3_000_000)
  expect(retryAfterMs(date)).toBeLessThanOrEqual(3_600_000)
})
