import type { KeyboardEvent, RefObject } from 'react'
import { maxTextChars } from '../protocol.ts'
import type { Conversation } from './use-conversation.ts'

interface ComposerProps {
  inputRef: RefObject<HTMLTextAreaElement | null>
  conversation: Conversation
}

/** The form for a message. Enter sends it, Shift+Enter starts a line. While an answer runs, its button stops the answer. */
export function Composer({ inputRef, conversation }: ComposerProps) {
  const { draft, setDraft, isAnswering, isStopping, send, stop } = conversation
  const isSendable = !isAnswering && draft.trim() !== ''

  const submit = (): void => {
    if (!isSendable) return
    send(draft.trim())
    setDraft('')
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    // Enter also ends the composition of Chinese, Japanese and Korean characters.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    submit()
  }

  return (
    <form
      className="composer column"
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <label className="hidden" htmlFor="message">
        Message
      </label>
      <textarea
        id="message"
        ref={inputRef}
        rows={1}
        maxLength={maxTextChars}
        placeholder="Write a message"
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {isAnswering ? (
        <button
          type="button"
          className="stop"
          disabled={isStopping}
          onClick={() => {
            stop()
            inputRef.current?.focus()
          }}
        >
          {isStopping ? 'Stopping…' : 'Stop'}
        </button>
      ) : (
        <button type="submit" className="primary" disabled={!isSendable}>
          Send
        </button>
      )}
    </form>
  )
}
