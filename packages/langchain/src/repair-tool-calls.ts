import { AIMessage, type BaseMessage, ToolMessage } from '@langchain/core/messages'

/**
 * Completes a history in which tool calls have no result, e.g. after an abort or a rejected approval. Providers refuse
 * such a history. Each call gets a result: its own, moved behind the call, or an error that says that it was interrupted.
 *
 * @returns the given array if nothing is missing.
 * @example
 * ```ts
 * import { type BaseMessage, HumanMessage } from '@langchain/core/messages'
 * import { repairToolCalls } from '@theazo/langchain'
 *
 * export function withQuestion(history: BaseMessage[], question: string): BaseMessage[] {
 *   return [...repairToolCalls(history), new HumanMessage(question)]
 * }
 * ```
 */
export function repairToolCalls(messages: BaseMessage[]): BaseMessage[] {
  const repaired: BaseMessage[] = []
  const moved = new Set<BaseMessage>()
  for (const [index, message] of messages.entries()) {
    if (moved.has(message)) continue
    repaired.push(message)
    if (!AIMessage.isInstance(message) || !message.tool_calls?.length) continue
    const end = messages.findIndex((later, position) => position > index && AIMessage.isInstance(later))
    const turn = messages
      .slice(index + 1, end === -1 ? undefined : end)
      .filter((later) => ToolMessage.isInstance(later))
    const called = new Set(message.tool_calls.map(({ id }) => id))
    const results = turn.filter(({ tool_call_id: id }) => called.has(id))
    const missing = message.tool_calls.filter(({ id }) => results.every((result) => result.tool_call_id !== id))
    for (const result of results) moved.add(result)
    repaired.push(...results, ...missing.map(({ id = '', name }) => interrupted(id, name)))
  }
  return repaired.length === messages.length && repaired.every((message, index) => message === messages[index])
    ? messages
    : repaired
}

function interrupted(id: string, name: string): ToolMessage {
  return new ToolMessage({
    status: 'error',
    tool_call_id: id,
    name,
    content: `${name} was interrupted and has no result. It may have done a part of its work. Check before you repeat it.`,
  })
}
