import { expect, test } from 'vitest'
import type { ChatMessage } from '../protocol.ts'
import { addUserMessage, type Chat } from './chats.ts'
import { withoutOpenCalls } from './settled-message.ts'

const call = { type: 'tool-delete_file', toolCallId: 'c', input: { path: 'a' } } as const
const refused = { ...call, state: 'approval-responded', approval: { id: '1', approved: false } } as const
const approved = { ...call, state: 'approval-responded', approval: { id: '1', approved: true } } as const
const message = (part: ChatMessage['parts'][number]): ChatMessage => ({ id: 'm', role: 'assistant', parts: [part] })

test('a refused call whose answer was stopped stays refused', () => {
  expect(withoutOpenCalls(message(refused)).parts).toMatchObject([{ state: 'output-denied' }])
})

test('an approved call that was lost with its process counts as stopped when the chat goes on', () => {
  const chat: Chat = { id: '', userId: '', title: '', messages: [message(approved)], answer: undefined }
  addUserMessage(chat, 'u', 'and now?')
  expect(chat.messages[0]?.parts).toMatchObject([{ state: 'output-error', errorText: 'The call was stopped.' }])
})
