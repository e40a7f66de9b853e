import { AIMessage, type BaseMessage, isBaseMessage } from '@langchain/core/messages'

/**
 * True if the model that made the tool call is known to accept images in a tool message. The model's last message
 * identifies its API. If there is no message, or the API is unknown, the result is false: an API that refuses one image
 * refuses every later request of the conversation.
 *
 * @param state The state of the graph. LangChain's agents and LangGraph's `ToolNode` pass it to each tool.
 */
export function acceptsToolImages(state: unknown): boolean {
  const message = messagesOf(state).findLast((message) => AIMessage.isInstance(message))
  const { model_provider: provider, object, id } = message?.response_metadata ?? {}
  if (provider === 'anthropic') return true
  // Both OpenAI APIs have this provider name; only the Responses API sets `object` or an id that starts with resp_.
  return provider === 'openai' && (object === 'response' || (typeof id === 'string' && id.startsWith('resp_')))
}

/** The messages of a state, which is a list of messages or an object with such a list. */
function messagesOf(state: unknown): BaseMessage[] {
  const list: unknown = typeof state === 'object' && state !== null && 'messages' in state ? state.messages : state
  return Array.isArray(list) ? list.filter((item) => isBaseMessage(item)) : []
}
