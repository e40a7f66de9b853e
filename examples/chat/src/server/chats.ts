import { randomUUID } from 'node:crypto'
import type { ChatMessage, ChatTitle } from '../protocol.ts'
import type { Answer } from './answer.ts'
import { withoutApprovals } from './settled-message.ts'

/** One chat of a user. */
export interface Chat {
  id: string
  userId: string
  title: string
  messages: ChatMessage[]
  /** The last answer; it may still be running. */
  answer: Answer | undefined
}

const newTitle = 'New chat'
const maxTitleChars = 60
const maxChatsPerUser = 20
const maxChats = 1000

/**
 * The chats of all users, in memory: they are gone after a restart. An app with a database stores `Chat.messages` there.
 */
export class Chats {
  /** In the order of their creation. */
  readonly #chats = new Map<string, Chat>()
  readonly #onRemove: (chat: Chat) => void

  /** @param onRemove called with each chat that had to make room for a new one. */
  constructor(onRemove: (chat: Chat) => void) {
    this.#onRemove = onRemove
  }

  /** The user's chat; undefined if there is none, or if it belongs to somebody else. */
  find(id: string, userId: string): Chat | undefined {
    const chat = this.#chats.get(id)
    return chat?.userId === userId ? chat : undefined
  }

  /** The user's chats, newest first. */
  titles(userId: string): ChatTitle[] {
    return this.#of(userId)
      .map(({ id, title }) => ({ id, title }))
      .toReversed()
  }

  /** The user's newest chat if it is empty, or a new one. */
  create(userId: string): Chat {
    const own = this.#of(userId)
    const newest = own.at(-1)
    if (newest?.messages.length === 0) return newest
    if (own.length >= maxChatsPerUser) this.#remove(own[0])
    if (this.#chats.size >= maxChats) this.#remove(this.#chats.values().next().value)
    const chat: Chat = { id: randomUUID(), userId, title: newTitle, messages: [], answer: undefined }
    this.#chats.set(chat.id, chat)
    return chat
  }

  /** The answers that are running now. */
  running(): Answer[] {
    return Array.from(this.#chats.values()).flatMap(({ answer }) => (answer?.isRunning ? [answer] : []))
  }

  #of(userId: string): Chat[] {
    return Array.from(this.#chats.values()).filter((chat) => chat.userId === userId)
  }

  #remove(chat: Chat | undefined): void {
    if (!chat) return
    this.#chats.delete(chat.id)
    this.#onRemove(chat)
  }
}

/** Adds a message of the user. The first one names the chat. */
export function addUserMessage(chat: Chat, id: string, text: string): void {
  if (chat.messages.length === 0) {
    const [line = newTitle] = text.split('\n')
    chat.title = line.length > maxTitleChars ? `${line.slice(0, maxTitleChars - 1)}…` : line
  }
  chat.messages = [...chat.messages.map(withoutApprovals), { id, role: 'user', parts: [{ type: 'text', text }] }]
}
