import { isToolUIPart } from 'ai'
import Markdown from 'react-markdown'
import type { ChatMessage } from '../protocol.ts'
import { textOf } from './chat-transport.ts'
import { ToolView } from './tool-view.tsx'

interface MessageViewProps {
  chatId: string
  message: ChatMessage
  isLast: boolean
  isAnswering: boolean
  onDecide: (approvalId: string, isApproved: boolean) => void
}

/** One message, with its text, tool calls and approvals in their order. */
export function MessageView({ chatId, message, isLast, isAnswering, onDecide }: MessageViewProps) {
  if (message.role === 'user') {
    return (
      <article className="message user" aria-label="You">
        {textOf(message)}
      </article>
    )
  }
  return (
    <article className="message assistant" aria-label="Assistant">
      {message.parts.map((part, index) => {
        // Parts are only ever added at the end, so the index identifies them.
        if (part.type === 'text') return <Text key={index} text={part.text} />
        if (!isToolUIPart(part)) return undefined
        return (
          <ToolView
            key={part.toolCallId}
            chatId={chatId}
            part={part}
            isLive={isLast && isAnswering}
            onDecide={isLast ? onDecide : undefined}
          />
        )
      })}
    </article>
  )
}

/** No images: their addresses could carry data of the chat to another server. */
function Text({ text }: { text: string }) {
  return (
    <div className="text">
      <Markdown
        disallowedElements={['img']}
        components={{
          a: ({ href, children }) => (
            <a href={href} target="_blank" rel="noreferrer">
              {children}
            </a>
          ),
        }}
      >
        {text}
      </Markdown>
    </div>
  )
}
