import { isToolUIPart } from 'ai'
import type { ChatMessage } from '../protocol.ts'

type Part = ChatMessage['parts'][number]

/** What the user decided about one call. */
export interface Decision {
  /** The id of the approval. */
  id: string
  approved: boolean
}

/**
 * Puts the user's decisions into the last message.
 *
 * @returns undefined if they are not exactly the decisions for which the message waits: another tab was faster, or the ids
 *   are invented.
 */
export function withDecisions(message: ChatMessage, decisions: readonly Decision[]): ChatMessage | undefined {
  const byId = new Map(decisions.map(({ id, approved }) => [id, approved]))
  const waiting = message.parts.filter((part) => isToolUIPart(part) && part.state === 'approval-requested')
  if (waiting.length === 0 || waiting.length !== byId.size) return undefined
  let known = 0
  const parts = message.parts.map((part): Part => {
    if (!isToolUIPart(part) || part.state !== 'approval-requested') return part
    const approved = byId.get(part.approval.id)
    if (approved === undefined) return part
    known += 1
    // The cast: TypeScript does not see that a spread keeps each member of the union.
    return { ...part, state: 'approval-responded', approval: { ...part.approval, approved } } as unknown as Part
  })
  return known === waiting.length ? { ...message, parts } : undefined
}
