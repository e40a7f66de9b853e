import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { FairQueue } from './fair-queue.ts'

/** Jobs that record their start and end on request. */
function recordedJobs(queue: FairQueue) {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const add = (owner: string, name: string, signal?: AbortSignal): Promise<void> =>
    queue.run(
      owner,
      async () => {
        begun.push(name)
        await new Promise<void>((resolve) => ends.set(name, resolve))
      },
      signal,
    )
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.()
    await setImmediate()
  }
  return { begun, add, end }
}

test('limits the number of running jobs and alternates between owners', async () => {
  const queue = new FairQueue(2)
  const { begun, add, end } = recordedJobs(queue)
  for (const name of ['a1', 'a2', 'a3', 'a4']) void add('a', name)
  void add('b', 'b1')
  void add('c', 'c1')
  void add('b', 'b2')
  await setImmediate()
  expect([begun, queue.length]).toEqual([['a1', 'a2'], 5])
  for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'b2']) await end(name)
  expect([begun, queue.length]).toEqual([['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'b2'], 0])
  void add('a', 'again')
  await setImmediate()
  expect(begun.at(-1)).toBe('again')
})

test('frees the slot of a failed job and never starts a job that was aborted while it waited', async () => {
  const queue = new FairQueue(1)
  const { begun, add, end } = recordedJobs(queue)
  const failed = queue.run('a', async () => Promise.reject(new Error('mine')))
  await expect(failed).rejects.toThrow('mine')
  void add('a', 'first')
  const abort = new AbortController()
  const aborted = add('a', 'aborted', abort.signal)
  void add('b', 'second')
  await setImmediate()
  abort.abort(new Error('left'))
  await expect(aborted).rejects.toThrow('left')
  expect(queue.length).toBe(1)
  await end('first')
  expect(begun).toEqual(['first', 'second'])
  await expect(add('a', 'late', abort.signal)).rejects.toThrow('left')
  await end('second')
  void add('a', 'third')
  await setImmediate()
  expect(begun.at(-1)).toBe('third') // no slot was lost
})
