import { useChat, type UseChatHelpers } from '@ai-sdk/react'
import { lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai'
import { useCallback, useEffect, useRef, useState } from 'react'
import type { ChatMessage, ChatSnapshot } from '../protocol.ts'
import { api, failureText } from './api.ts'
import { createTransport, textOf } from './chat-transport.ts'

/** A chat in the state of this page, which follows the server's. */
export interface Conversation {
  messages: ChatMessage[]
  isAnswering: boolean
  isStopping: boolean
  /** The text of a failure, for the user. */
  failure: string | undefined
  /** The text that the user writes. */
  draft: string
  setDraft(text: string): void
  send(text: string): void
  retry(): void
  /** Kills the code in the sandbox. The answer then ends by itself, on every page that shows it. */
  stop(): void
  decide(approvalId: string, isApproved: boolean): void
}

/** @param onChange called when an answer begins or ends. */
export function useConversation(snapshot: ChatSnapshot, onChange: () => void): Conversation {
  const { id } = snapshot
  const announce = useRef<() => void>(() => {})
  const [transport] = useState(() =>
    createTransport({ answerId: snapshot.answerId, onBegin: () => announce.current() }),
  )
  const chat = useChat<ChatMessage>({
    id,
    messages: snapshot.messages,
    transport,
    resume: true, // after a reload, and when the page becomes visible again after a lost connection
    throttle: 50,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  })
  const { status, setMessages, resumeStream, clearError } = chat
  const isAnswering = status === 'submitted' || status === 'streaming'
  const [wantsStop, setWantsStop] = useState(false)
  const [hasStopFailed, setHasStopFailed] = useState(false)
  const [draft, setDraft] = useState('')

  const reload = useCallback(async () => {
    const current = await api.chat(id)
    clearError()
    setMessages(current.messages)
    transport.follow(current.answerId)
    if (current.answerId !== undefined) void resumeStream()
    return current
  }, [id, clearError, setMessages, transport, resumeStream])

  // Another tab has begun an answer: this one shows it too.
  const isBusy = useRef(isAnswering)
  isBusy.current = isAnswering
  useEffect(() => {
    const channel = new BroadcastChannel('chat')
    channel.addEventListener('message', ({ data }) => {
      if (data === id && !isBusy.current) reload().catch(() => {}) // the next action of the user reports the fault
    })
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- only a window has a target
    announce.current = () => channel.postMessage(id)
    return () => channel.close()
  }, [id, reload])

  // Before the first chunk has come, the server may not know the answer yet.
  useEffect(() => {
    if (!wantsStop || status === 'submitted') return
    if (status !== 'streaming') return setWantsStop(false)
    api.stop(id).catch(() => {
      setWantsStop(false)
      setHasStopFailed(true)
    })
  }, [wantsStop, status, id])
  const stop = (): void => {
    setHasStopFailed(false)
    setWantsStop(true)
  }

  useEffect(() => {
    if (!isAnswering) setHasStopFailed(false)
    onChange()
  }, [isAnswering, onChange])

  return {
    messages: chat.messages,
    isAnswering,
    isStopping: wantsStop,
    failure: hasStopFailed ? 'The answer could not be stopped.' : failureOf(chat.error, chat.messages, isAnswering),
    draft,
    setDraft,
    send: (text) => void chat.sendMessage({ text }),
    retry() {
      if (hasStopFailed) return stop()
      retry(chat, reload, (unsent) => {
        setDraft((newer) => [unsent, newer].filter(Boolean).join('\n'))
      }).catch(() => {}) // the old failure stays visible
    },
    stop,
    decide: (approvalId, isApproved) => void chat.addToolApprovalResponse({ id: approvalId, approved: isApproved }),
  }
}

/**
 * Does what the failure has prevented: the message may not have arrived, or its answer may be missing or half.
 *
 * @param onUnsent called with the text of a message that must wait, because the page shows another answer first.
 */
async function retry(
  chat: UseChatHelpers<ChatMessage>,
  reload: () => Promise<ChatSnapshot>,
  onUnsent: (text: string) => void,
): Promise<void> {
  const last = chat.messages.at(-1)
  const { messages, answerId, hasFailed } = await reload()
  const isUnsent = last?.role === 'user' && messages.every(({ id }) => id !== last.id)
  if (answerId !== undefined) return isUnsent ? onUnsent(textOf(last)) : undefined
  if (isUnsent) await chat.sendMessage({ text: textOf(last) })
  else if (hasFailed || messages.at(-1)?.role === 'user') await chat.regenerate()
}

function failureOf(error: Error | undefined, messages: readonly ChatMessage[], isAnswering: boolean) {
  if (error) return failureText(error)
  return messages.at(-1)?.role === 'user' && !isAnswering ? 'This message has no answer.' : undefined
}
