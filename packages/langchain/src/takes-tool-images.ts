import { AIMessage, type BaseMessage, isBaseMessage } from '@langchain/core/messages'

/**
 * True if the model that made a tool call is known to take images in a tool's message. Its last message says which model
 * that is; without one, and for every API that is not known, images are left out: a provider that refuses one refuses
 * every later turn of the conversation.
 *
 * @param state of the graph; LangChain's agents and LangGraph's `ToolNode` give it to each tool.
 */
export function takesToolImages(state: unknown): boolean {
  const message = messagesOf(state).findLast((message) => AIMessage.isInstance(message))
  const { model_provider: provider, object, id } = message?.response_metadata ?? {}
  if (provider === 'anthropic') return true
  // Both APIs of OpenAI have this name; only the Responses API has responses with an id of their own.
  return provider === 'openai' && (object === 'response' || (typeof id === 'string' && id.startsWith('resp_')))
}

/** A state is a list of messages, or has one. */
function messagesOf(state: unknown): BaseMessage[] {
  const list: unknown = typeof state === 'object' && state !== null && 'messages' in state ? state.messages : state
  return Array.isArray(list) ? list.filter((item) => isBaseMessage(item)) : []
}
