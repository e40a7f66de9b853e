import { randomUUID } from 'node:crypto'
import type { ChatMessage, ChatTitle } from '../protocol.ts'
import type { Answer } from './answer.ts'
import { withoutApprovals, withoutOpenCalls } from './settled-message.ts'

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

  /**
   * The user's newest chat if it is empty, or a new one. A chat with messages makes room only for another chat of its user.
   *
   * @returns undefined if there is no room.
   */
  create(userId: string): Chat | undefined {
    const own = this.#of(userId)
    const newest = own.at(-1)
    if (newest?.messages.length === 0) return newest
    const isFull = this.#chats.size >= maxChats
    if (isFull || own.length >= maxChatsPerUser) this.#remove(own[0] ?? this.#oldestEmpty())
    if (this.#chats.size >= maxChats) return undefined
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

  /** An empty chat has no answer and no sandbox. */
  #oldestEmpty(): Chat | undefined {
    return Array.from(this.#chats.values()).find(({ messages }) => messages.length === 0)
  }

  #remove(chat: Chat | undefined): void {
    if (!chat) return
    this.#chats.delete(chat.id)
    this.#onRemove(chat)
  }
}

/** Adds a message of the user. The first one names the chat. A crash may have left calls without a result. */
export function addUserMessage(chat: Chat, id: string, text: string): void {
  if (chat.messages.length === 0) {
    const [line = newTitle] = text.split('\n')
    chat.title = line.length > maxTitleChars ? `${line.slice(0, maxTitleChars - 1)}…` : line
  }
  const settled = chat.messages.map(withoutApprovals).map(withoutOpenCalls)
  chat.messages = [...settled, { id, role: 'user', parts: [{ type: 'text', text }] }]
}
