import { expect, test } from 'vitest'
import { RateLimiter } from './rate-limiter.ts'

const windowMs = 60_000

/** A random generator with a seed (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

test.each([1, 2, 3, 4, 5])('decides like a plain list of times, also if the limit changes: seed %i', (seed) => {
  const random = seededRandom(seed)
  let now = 0
  const limiter = new RateLimiter(() => now)
  const passedAt: number[] = []
  const seen = { passed: 0, refused: 0 }
  let limit = 100
  for (let n = 0; n < 3_000; n += 1) {
    if (random() < 0.01) limit = 1 + Math.floor(random() * 150)
    now += random() < 0.5 ? 0 : Math.floor(random() * 1200)
    if (random() < 0.002) now += windowMs
    const isIn = (time: number, at: number): boolean => time > at - windowMs
    const isAllowed = passedAt.filter((time) => isIn(time, now)).length < limit
    if (isAllowed) passedAt.push(now)
    const inWindow = passedAt.filter((time) => isIn(time, now))
    const decision = limiter.ask('key', limit)
    expect(decision).toMatchObject({ isAllowed, limit, remaining: Math.max(0, limit - inWindow.length) })
    seen[isAllowed ? 'passed' : 'refused'] += 1
    if (isAllowed) continue
    // Exact to the millisecond: one more request is allowed then, and not before.
    const left = (at: number): number => inWindow.filter((time) => isIn(time, at)).length
    expect(left(now + decision.resetMs)).toBeLessThan(limit)
    expect(left(now + decision.resetMs - 1)).toBeGreaterThanOrEqual(limit)
  }
  expect(seen.passed).toBeGreaterThan(500)
  expect(seen.refused).toBeGreaterThan(500)
})

test('waits until all requests above a lowered limit have left the window', () => {
  let now = 0
  const limiter = new RateLimiter(() => now)
  for (; now < 10; now += 1) expect(limiter.ask('key', 10).isAllowed).toBe(true)
  now = 100
  // Ten requests are in the window, at 0 to 9. With a limit of three, one more is allowed when that of 7 has left.
  expect(limiter.ask('key', 3)).toEqual({ isAllowed: false, limit: 3, remaining: 0, resetMs: windowMs + 7 - 100 })
  now = windowMs + 6
  expect(limiter.ask('key', 3).isAllowed).toBe(false)
  now = windowMs + 7
  expect(limiter.ask('key', 3)).toMatchObject({ isAllowed: true, remaining: 0 })
  expect(limiter.ask('key', 10)).toMatchObject({ isAllowed: true, remaining: 6 })
})

test('forgets a key after an unused minute and keeps the windows of other keys', () => {
  let now = 0
  const limiter = new RateLimiter(() => now)
  limiter.ask('idle', 1)
  now = 59_999
  expect(limiter.ask('idle', 1).isAllowed).toBe(false)
  limiter.ask('busy', 1)
  now = 60_000
  expect(limiter.ask('idle', 1).isAllowed).toBe(true)
  expect(limiter.ask('busy', 1).isAllowed).toBe(false)
})
