import type { UIMessage } from 'ai'
import { isRestartOf, markersOf } from './run-marker.ts'

/**
 * Prepares messages for `convertToModelMessages`: of a run that `toUIMessageStream` has sent, only the answer stays.
 *
 * The tool calls and thoughts of the remote agent are display: a provider refuses calls that its model did not make.
 * Other parts stay as they are.
 *
 * @example
 * ```ts
 * import { forModel, theazoTools } from '@theazo/ai-sdk'
 * import { convertToModelMessages, type ModelMessage, type UIMessage } from 'ai'
 *
 * export async function promptOf(messages: UIMessage[]): Promise<ModelMessage[]> {
 *   const tools = theazoTools({ userId: 'user_123' })
 *   return await convertToModelMessages(forModel(messages), { tools, ignoreIncompleteToolCalls: true })
 * }
 * ```
 */
export function forModel<Message extends UIMessage>(messages: readonly Message[]): Message[] {
  return messages.map((message) => {
    if (message.role !== 'assistant') return message
    const parts = message.parts.filter((_, index) => !isReplaced(message.parts, index)).flatMap(partForModel)
    // Providers refuse a message without content.
    const isEmpty = parts.every(({ type }) => type === 'step-start')
    if (isEmpty && parts.length < message.parts.length) parts.push({ type: 'text', text: '[The task gave no answer.]' })
    return { ...message, parts }
  })
}

type Part = UIMessage['parts'][number]

/** True for text that the remote model began anew later, in the same step. */
function isReplaced(parts: readonly Part[], index: number): boolean {
  const part = parts[index]
  if (part?.type !== 'text' || markersOf(part).length === 0) return false
  const after = parts.slice(index + 1)
  const nextCall = after.findIndex(({ type }) => type === 'dynamic-tool')
  return after.slice(0, nextCall === -1 ? undefined : nextCall).some(isRestartOf)
}

function partForModel(part: Part): Part[] {
  if (part.type.startsWith('data-theazo-')) return []
  if (markersOf(part).length === 0) return [part]
  return part.type === 'text' ? [{ type: 'text', text: part.text }] : []
}
