import { expect, test } from 'vitest'
import { addUserMessage, type Chat, Chats } from './chats.ts'

/** Fills a store with the chats of 1,000 users. */
function fullStore(hasMessages: boolean): { chats: Chats; removed: Chat[] } {
  const removed: Chat[] = []
  const chats = new Chats((chat) => removed.push(chat))
  for (let index = 0; index < 1000; index += 1) {
    const chat = chats.create(`user ${index}`) ?? expect.fail('there is no room')
    if (hasMessages || index === 0) addUserMessage(chat, '1', 'Hello')
  }
  return { chats, removed }
}

test('a full store has no room for a new user, and loses no chat of another one', () => {
  const { chats, removed } = fullStore(true)
  expect(chats.create('new')).toBeUndefined()
  expect(removed).toEqual([])
})

test('a full store makes room for a new chat by the oldest of the same user', () => {
  const { chats, removed } = fullStore(true)
  expect(chats.create('user 7')).toMatchObject({ userId: 'user 7', messages: [] })
  expect(removed.map(({ userId }) => userId)).toEqual(['user 7'])
})

test('a full store makes room by a chat that is empty', () => {
  const { chats, removed } = fullStore(false)
  expect(chats.create('new')).toMatchObject({ userId: 'new' })
  expect(removed.map(({ userId }) => userId)).toEqual(['user 1'])
})
