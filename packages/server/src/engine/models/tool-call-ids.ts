import type { ModelMessage } from 'ai'
import { ApiError } from '../../errors.ts'
import type { ModelRequest, ToolCall } from '../model.ts'

/** New ids for calls whose id an earlier step has used: some providers restart their numbering in each answer. */
export function newIds(calls: readonly ToolCall[], { steps }: ModelRequest): ReadonlyMap<string, string> {
  const ids = calls.map(({ id }) => id)
  if (new Set(ids).size < ids.length) throw new ApiError('provider_error', 'The model gave two calls the same id.')
  const used = new Set(steps.flatMap((step) => (step.kind === 'model' ? step.toolCalls.map(({ id }) => id) : [])))
  return new Map(calls.flatMap(({ id }) => (used.has(id) ? [[id, `${id}_${steps.length}`] as const] : [])))
}

/** The messages with the new ids. */
export function withIds(messages: ModelMessage[], names: ReadonlyMap<string, string>): ModelMessage[] {
  if (names.size === 0) return messages
  return messages.map((message) => {
    if (message.role !== 'assistant' || typeof message.content === 'string') return message
    const content = message.content.map((part) => {
      return part.type === 'tool-call' ? { ...part, toolCallId: names.get(part.toolCallId) ?? part.toolCallId } : part
    })
    return { ...message, content }
  })
}
