import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createProgressReporter } from './progress-reporter.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A request with the progress token 7, and the notifications sent for it. */
function request() {
  const sent: unknown[] = []
  const cancel = new AbortController()
  const flushed = Promise.withResolvers<void>()
  const reporter = createProgressReporter({
    progressToken: 7,
    signal: cancel.signal,
    notify: async ({ params }) => void sent.push(params),
    flush: () => flushed.promise,
  })
  if (!reporter) throw new Error('no reporter')
  return { sent, cancel, flushed, ...reporter }
}

test('the first output is sent immediately; later output is sent together every 100 ms', async () => {
  const { sent, flushed, report, end } = request()
  flushed.resolve()
  for (let line = 1; line <= 1000; line += 1) report({ message: `line ${line}\n` })
  expect(sent).toEqual([{ progressToken: 7, progress: 1, message: 'line 1' }])
  await vi.advanceTimersByTimeAsync(100)
  expect(sent).toHaveLength(2)
  expect(sent[1]).toMatchObject({ progress: 2, message: expect.stringMatching(/^line 9\d\d\n[^]*line 1000$/) })
  expect((sent[1] as { message: string }).message.length).toBeLessThanOrEqual(500)
  await vi.advanceTimersByTimeAsync(1000)
  expect(sent).toHaveLength(2)
  const ended = end()
  await vi.runAllTimersAsync()
  await ended
})

test('the end sends the unsent output, waits until the client has it, and leaves no timer', async () => {
  const { sent, flushed, report, end } = request()
  report({ message: 'one\n' })
  report({ message: 'two\n' })
  let isEnded = false
  const ended = end().then(() => (isEnded = true))
  expect(sent).toMatchObject([{ message: 'one' }, { message: 'one\ntwo' }])
  await vi.advanceTimersByTimeAsync(1000)
  expect(isEnded).toBe(false)
  flushed.resolve()
  await ended
  expect(vi.getTimerCount()).toBe(0)
})

test('the end of a call without output does not wait', async () => {
  const { sent, end } = request()
  await end()
  expect([sent, vi.getTimerCount()]).toEqual([[], 0])
})

test('a cancelled call sends no further notification', async () => {
  const { sent, cancel, report, end } = request()
  report({ message: 'one' })
  cancel.abort()
  report({ message: 'two' })
  await vi.advanceTimersByTimeAsync(100)
  await end()
  expect([sent.length, vi.getTimerCount()]).toEqual([1, 0])
})

test('a request without a progress token has no reporter', () => {
  const { signal } = new AbortController()
  expect(
    createProgressReporter({ progressToken: undefined, signal, notify: async () => {}, flush: async () => {} }),
  ).toBeUndefined()
  expect(
    createProgressReporter({ progressToken: 0, signal, notify: async () => {}, flush: async () => {} }),
  ).toBeDefined()
})
