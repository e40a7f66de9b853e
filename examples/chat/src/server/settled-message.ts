import { isToolUIPart } from 'ai'
import { type ChatMessage, stoppedText } from '../protocol.ts'

type Part = ChatMessage['parts'][number]

/**
 * A message after its answer has ended: no call is left without a result, because a provider refuses such a conversation.
 * Calls that wait for the user stay as they are.
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
  const isApproved = part.state === 'approval-responded' && part.approval.approved
  if (part.state === 'input-available' || isApproved) {
    return [changed(part, { state: 'output-error', errorText: stoppedText })]
  }
  // The output says that the code was stopped, and the tool tells the model.
  if (part.state === 'output-available' && part.preliminary) return [changed(part, { preliminary: false })]
  return [part]
}

/** The cast: TypeScript does not see that a spread keeps each member of the union. */
function changed(part: Part, changes: object): Part {
  return { ...part, ...changes } as unknown as Part
}
