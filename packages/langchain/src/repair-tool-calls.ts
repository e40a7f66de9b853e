import { AIMessage, type BaseMessage, ToolMessage } from '@langchain/core/messages'

/**
 * Completes a history in which tool calls have no result, e.g. after an abort or a rejected approval. Providers refuse
 * such a history. Each call gets one result, directly behind the calls: its own, or an error that says that it was
 * interrupted. Results without a call are dropped.
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
  let open: AIMessage | undefined
  /** The results of the open message, by the ids of its calls. The last of several counts. */
  let results = new Map<string, ToolMessage>()
  let later: BaseMessage[] = []
  const close = (): void => {
    const calls = (open?.tool_calls ?? []).flatMap(({ id, name }) => (id === undefined ? [] : [{ id, name }]))
    repaired.push(...calls.map(({ id, name }) => results.get(id) ?? interrupted(id, name)), ...later)
    open = undefined
    results = new Map()
    later = []
  }
  for (const message of messages) {
    if (AIMessage.isInstance(message)) {
      close()
      repaired.push(message)
      open = message
    } else if (ToolMessage.isInstance(message)) {
      // A result without its call is dropped: providers refuse it too.
      if (open?.tool_calls?.some(({ id }) => id === message.tool_call_id)) results.set(message.tool_call_id, message)
    } else {
      later.push(message)
    }
  }
  close()
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
