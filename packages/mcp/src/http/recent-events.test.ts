import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js'
import { expect, test } from 'vitest'
import { RecentEvents, type RecentEventsOptions } from './recent-events.ts'

const message = (text: string): JSONRPCMessage => ({ jsonrpc: '2.0', method: text })

async function replayed(events: RecentEvents<JSONRPCMessage>, lastId: string): Promise<[string, JSONRPCMessage][]> {
  const sent: [string, JSONRPCMessage][] = []
  await events.replayEventsAfter(lastId, { send: async (id, message) => void sent.push([id, message]) })
  return sent
}

test('events of the same stream are replayed in order, without the first empty one', async () => {
  const events = new RecentEvents<JSONRPCMessage>()
  const first = await events.storeEvent('a', {} as JSONRPCMessage)
  const a1 = await events.storeEvent('a', message('a1'))
  const other = await events.storeEvent('b', message('b1'))
  const a2 = await events.storeEvent('a', message('a2'))
  expect(await replayed(events, first)).toEqual([
    [a1, message('a1')],
    [a2, message('a2')],
  ])
  expect(await replayed(events, a1)).toEqual([[a2, message('a2')]])
  expect(await replayed(events, other)).toEqual([])
  expect([await events.getStreamIdForEventId(other), await events.getStreamIdForEventId('99')]).toEqual([
    'b',
    undefined,
  ])
})

test.each<[RecentEventsOptions, number]>([
  [{ maxEvents: 3 }, 3],
  [{ maxSize: 100 }, 2],
])('with %j the oldest events are dropped, and a client that would miss one is refused', async (options, kept) => {
  const events = new RecentEvents<JSONRPCMessage>(options)
  const ids: string[] = []
  for (let n = 0; n < 10; n += 1) ids.push(await events.storeEvent('a', message(`${n} ${'x'.repeat(5)}`)))
  const stored = await Promise.all(ids.map((id) => events.getStreamIdForEventId(id)))
  expect(stored.map((streamId) => streamId !== undefined)).toEqual(ids.map((_, index) => index >= 10 - kept))
  await expect(replayed(events, ids[0] ?? '')).rejects.toThrow('is not stored any more')
})

test('an event that is too large by itself is kept until the next one', async () => {
  const events = new RecentEvents<JSONRPCMessage>({ maxSize: 10 })
  const large = await events.storeEvent('a', message('x'.repeat(100)))
  expect(await events.getStreamIdForEventId(large)).toBe('a')
  await events.storeEvent('a', message('next'))
  expect(await events.getStreamIdForEventId(large)).toBeUndefined()
})
