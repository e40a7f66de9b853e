import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { expect, test } from 'vitest'
import { StatusSubscriptions } from './status-subscriptions.ts'

test('an unsubscribe while the subscription opens ends it, and a later one is open', async () => {
  await using local = await createLocalTheazo()
  const streams: string[] = []
  const theazo = new Theazo({
    ...local,
    fetch(input, init) {
      const { url } = new Request(input, init)
      if (url.includes('/stream')) streams.push(url)
      return local.fetch(input, init)
    },
  })
  const session = await theazo.sessions.forUser('subscriber')
  await using agent = await session.agents.create()
  const updates: string[] = []
  const subscriptions = new StatusSubscriptions((uri) => updates.push(uri))

  const opened = Promise.withResolvers<typeof agent>()
  const adding = subscriptions.add('first', () => opened.promise)
  subscriptions.delete('first')
  opened.resolve(agent)
  await adding
  await subscriptions.add('second', async () => agent)
  await expect.poll(() => streams.length).toBeGreaterThan(0)
  await expect
    .poll(async () => {
      await agent.pause()
      await agent.resume()
      return updates
    })
    .toContain('second')
  expect([updates.includes('first'), streams.length]).toEqual([false, 1])
  subscriptions.clear()
})

test('a subscription that cannot be opened does not count', async () => {
  const subscriptions = new StatusSubscriptions(() => {})
  const failed = () => Promise.reject(new Error('not reachable'))
  for (let count = 0; count < 30; count += 1) {
    await expect(subscriptions.add(`uri ${count}`, failed)).rejects.toThrow('not reachable')
  }
})
