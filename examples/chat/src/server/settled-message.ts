import { isToolUIPart } from 'ai'
import { type ChatMessage, stoppedText } from '../protocol.ts'

type Part = ChatMessage['parts'][number]

/**
 * A message after its answer has ended: every call has a result, because a provider refuses a conversation with an open
 * call. Calls that wait for the user stay as they are.
 */
export function withoutOpenCalls(message: ChatMessage): ChatMessage {
  return { ...message, parts: message.parts.flatMap(settledPart) }
}

/** A message after the user has written another one instead of a decision: what waits is refused. */
export function withoutApprovals(message: ChatMessage): ChatMessage {
  const parts = message.parts.map((part): Part => {
    if (!isToolUIPart(part) || part.state !== 'approval-requested') return part
    const approval = { ...part.approval, approved: false, reason: 'The user wrote a message instead.' }
    return changed(part, { state: 'output-denied', approval })
  })
  return { ...message, parts }
}

function settledPart(part: Part): Part[] {
  if (!isToolUIPart(part)) return [part]
  if (part.state === 'input-streaming') return [] // its input may be half a JSON text
  const end = endOf(part)
  if (end === 'stopped') return [changed(part, { state: 'output-error', errorText: stoppedText })]
  if (end === 'refused') return [changed(part, { state: 'output-denied' })]
  // The output says that the code was stopped, and the tool tells the model.
  if (part.state === 'output-available' && part.preliminary) return [changed(part, { preliminary: false })]
  return [part]
}

/** The end of a call that its answer has left open; undefined for other parts. */
export function endOf(part: Part): 'stopped' | 'refused' | undefined {
  if (!isToolUIPart(part)) return undefined
  if (part.state === 'approval-responded') return part.approval.approved ? 'stopped' : 'refused'
  return part.state === 'input-available' ? 'stopped' : undefined
}

/** The cast: TypeScript does not see that a spread keeps each member of the union. */
function changed(part: Part, changes: object): Part {
  return { ...part, ...changes } as unknown as Part
}
