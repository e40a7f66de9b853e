// The requests of the client, and the responses of the server.
import type { TheazoUIMessage } from '@theazo/ai-sdk'
import { z } from 'zod'

/** A message of a chat, with typed tool parts. */
export type ChatMessage = TheazoUIMessage

/** An entry of the list of chats. */
export interface ChatTitle {
  id: string
  title: string
}

/** Response of `GET /api/chats`. */
export interface ChatList {
  chats: ChatTitle[]
  /** The name of the model, for display. */
  model: string
}

/** Response of `GET /api/chat/:id`. */
export interface ChatSnapshot {
  id: string
  /** While an answer is running, the messages before it. */
  messages: ChatMessage[]
  /** The running answer: `GET /api/chat/:id/stream?answer=…` sends it from its start. */
  answerId?: string
  /** The last answer has failed. If a part of it is the last message, `retry` replaces that. */
  hasFailed?: true
}

/** Response of `GET /api/usage`: the cost of the user's sandboxes, in cents. */
export interface UsageReport {
  spentCents: number
  capCents: number
}

/** The error of a call that was stopped before it had a result. */
export const stoppedText = 'The call was stopped.'

/** The longest message of a user, in characters. */
export const maxTextChars = 8000

const start = { chatId: z.uuid(), answerId: z.uuid() }

/**
 * Body of `POST /api/chat`. The client sends only what the user has decided. The conversation is the server's, so a client
 * can change neither the history nor the input of a call that it approves.
 */
export const answerRequest = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    ...start,
    messageId: z.string().min(1).max(64),
    text: z.string().trim().min(1).max(maxTextChars),
  }),
  z.object({
    type: z.literal('approvals'),
    ...start,
    approvals: z
      .array(z.object({ id: z.string().max(200), approved: z.boolean() }))
      .min(1)
      .max(50),
  }),
  /** Answer the user's last message, which has no answer, or only the half of one that failed. */
  z.object({ type: z.literal('retry'), ...start }),
])

export type AnswerRequest = z.infer<typeof answerRequest>
