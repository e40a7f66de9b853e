import { DefaultChatTransport } from 'ai'
import { isToolUIPart } from 'ai'
import type { AnswerRequest, ChatMessage } from '../protocol.ts'
import { chatPath, checked } from './api.ts'

export interface ChatTransportOptions {
  /** The answer that was running when the page was loaded. */
  answerId: string | undefined
  /** Called when the server has begun an answer that this page asked for. */
  onBegin: () => void
}

/** What `useChat` sends: only what is new, because the server has the conversation. */
export function createTransport({ answerId, onBegin }: ChatTransportOptions): ChatTransport {
  const current = { answerId }
  const transport = new DefaultChatTransport<ChatMessage>({
    prepareSendMessagesRequest({ id, messages, trigger }) {
      current.answerId = crypto.randomUUID()
      return { body: bodyOf(messages.at(-1), { chatId: id, answerId: current.answerId }, trigger) }
    },
    prepareReconnectToStreamRequest: ({ id }) => ({
      api: `${chatPath(id)}/stream?answer=${current.answerId ?? ''}`,
    }),
    async fetch(input, init) {
      const response = await checked(await fetch(input, init))
      if (init?.method === 'POST') onBegin()
      return response
    },
  })
  return Object.assign(transport, {
    follow(id: string | undefined) {
      current.answerId = id
    },
  })
}

export type ChatTransport = DefaultChatTransport<ChatMessage> & {
  /** Sets the answer that `resumeStream` reads. */
  follow(answerId: string | undefined): void
}

function bodyOf(
  last: ChatMessage | undefined,
  start: { chatId: string; answerId: string },
  trigger: string,
): AnswerRequest {
  if (trigger === 'regenerate-message' || !last) return { type: 'retry', ...start }
  if (last.role === 'user') return { type: 'message', ...start, messageId: last.id, text: textOf(last) }
  const approvals = last.parts.flatMap((part) =>
    isToolUIPart(part) && part.state === 'approval-responded'
      ? [{ id: part.approval.id, approved: part.approval.approved }]
      : [],
  )
  return { type: 'approvals', ...start, approvals }
}

export function textOf({ parts }: ChatMessage): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n')
}
