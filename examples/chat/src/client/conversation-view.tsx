import { useEffect, useLayoutEffect, useRef } from 'react'
import { isToolUIPart } from 'ai'
import type { ChatMessage, ChatSnapshot } from '../protocol.ts'
import { Composer } from './composer.tsx'
import { MessageView } from './message-view.tsx'
import { type Conversation, useConversation } from './use-conversation.ts'

const suggestions = ['Plot two waves', 'Count to five', 'Write notes', 'Start a long job']

/** A chat: its messages, and the form for the next one. */
export function ConversationView({ snapshot, onChange }: { snapshot: ChatSnapshot; onChange: () => void }) {
  const conversation = useConversation(snapshot, onChange)
  const { messages, isAnswering, failure, send, retry, decide } = conversation
  const input = useRef<HTMLTextAreaElement>(null)
  const log = useFollowingScroll(messages)
  const focusInput = (): void => input.current?.focus()
  useEffect(focusInput, [])

  return (
    <main>
      <section className="log" ref={log} role="log" aria-label="Conversation" aria-busy={isAnswering} tabIndex={0}>
        <div className="column">
          {messages.length === 0 && <Welcome onChoose={send} />}
          {messages.map((message, index) => (
            <MessageView
              key={message.id}
              chatId={snapshot.id}
              message={message}
              isLast={index === messages.length - 1}
              isAnswering={isAnswering}
              onDecide={(approvalId, isApproved) => {
                decide(approvalId, isApproved)
                focusInput() // the button disappears with its focus
              }}
            />
          ))}
          {isAnswering && messages.at(-1)?.role === 'user' && <p className="thinking">Thinking…</p>}
          {failure !== undefined && (
            <p className="failure" role="alert">
              <span>{failure}</span>
              <button
                type="button"
                onClick={() => {
                  retry()
                  focusInput()
                }}
              >
                Try again
              </button>
            </p>
          )}
        </div>
      </section>
      <p className="hidden" role="status">
        {statusText(conversation)}
      </p>
      <Composer inputRef={input} conversation={conversation} />
    </main>
  )
}

function Welcome({ onChoose }: { onChoose: (text: string) => void }) {
  return (
    <div className="welcome">
      <h2>An assistant with its own computer</h2>
      <p>
        It runs code in a sandbox of this chat. You see the output while the code runs, and you approve changes of
        files.
      </p>
      <ul>
        {suggestions.map((text) => (
          <li key={text}>
            <button type="button" onClick={() => onChoose(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </div>
  )
}

/** For screen readers. The log itself is announced when the answer is complete. */
function statusText({ messages, isAnswering, isStopping }: Conversation): string {
  if (isStopping) return 'Stopping.'
  if (isAnswering) return 'The assistant is answering.'
  if (isWaiting(messages.at(-1))) return 'The assistant waits for your approval.'
  return messages.length > 0 ? 'The answer has ended.' : ''
}

function isWaiting(message: ChatMessage | undefined): boolean {
  return message?.parts.some((part) => isToolUIPart(part) && part.state === 'approval-requested') === true
}

/** Keeps the end of the log visible, unless the reader has scrolled up. */
function useFollowingScroll(messages: readonly ChatMessage[]) {
  const log = useRef<HTMLElement>(null)
  const isAtEnd = useRef(true)
  useEffect(() => {
    const element = log.current
    const onScroll = (): void => {
      if (element) isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 60
    }
    element?.addEventListener('scroll', onScroll)
    return () => element?.removeEventListener('scroll', onScroll)
  }, [])
  useLayoutEffect(() => {
    const isOwn = messages.at(-1)?.role === 'user'
    if (isAtEnd.current || isOwn) log.current?.scrollTo({ top: log.current.scrollHeight })
  }, [messages])
  return log
}
