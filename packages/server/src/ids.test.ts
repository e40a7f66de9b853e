import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { continueAfter, newId, newUlid } from './ids.ts'

const hourMs = 3_600_000

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

test('ids sort by creation within one millisecond, and after the clock is set back', () => {
  const start = Date.UTC(2030, 0, 1)
  const ids: string[] = []
  for (const ms of [0, 0, 1, -5 * hourMs, -5 * hourMs + 1, -hourMs, -hourMs, 2, 2, hourMs]) {
    vi.setSystemTime(start + ms)
    ids.push(newId('ses'), newId('ses'))
  }
  expect(ids).toEqual(ids.toSorted())
  expect(new Set(ids).size).toBe(ids.length)
})

test('ids sort after an id of an earlier process whose clock was ahead, and later by the clock again', () => {
  vi.setSystemTime(Date.UTC(2040, 0, 1))
  const before = newUlid()
  const ahead = `agt_${before.slice(0, 9)}Z${before.slice(10)}` // up to a second later, by another process
  continueAfter(ahead)
  vi.setSystemTime(Date.UTC(2039, 0, 1))
  const ids = [ahead, newId('agt'), newId('agt')]
  vi.setSystemTime(Date.UTC(2041, 0, 1))
  ids.push(newId('agt'))
  expect(ids).toEqual(ids.toSorted())
  expect(new Set(ids).size).toBe(4)
})

test('continueAfter ignores an old id', () => {
  vi.setSystemTime(Date.UTC(2050, 0, 1))
  const first = newId('task')
  continueAfter('task_01ARZ3NDEKTSV4RRFFQ69G5FAV')
  const second = newId('task')
  expect([first, second].toSorted()).toEqual([first, second])
  expect(second.slice(0, 12)).toBe(first.slice(0, 12)) // still the time of the clock
})
