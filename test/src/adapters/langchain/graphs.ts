import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { type BaseCheckpointSaver, type CompiledStateGraph, MessagesAnnotation, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { type AgentMiddleware, createAgent, humanInTheLoopMiddleware } from 'langchain'
import type { TheazoTool } from '@theazo/langchain'

/** A tool call of a scripted model. */
export interface ScriptedCall {
  name: string
  args: Record<string, unknown>
  id: string
}

/** A call of `run_code`, in Bash. */
export function bash(code: string, id = 'call_1'): ScriptedCall {
  return { name: 'run_code', args: { language: 'bash', code }, id }
}

/** The message of a model that makes these calls. */
export function calling(...calls: ScriptedCall[]): AIMessage {
  return new AIMessage({ content: '', tool_calls: calls.map((call) => ({ ...call, type: 'tool_call' as const })) })
}

/** A graph of one node, LangGraph's prebuilt `ToolNode`. */
export function toolGraph(tools: TheazoTool[], options: { checkpointer?: BaseCheckpointSaver } = {}): ToolGraph {
  return new StateGraph(MessagesAnnotation)
    .addNode('tools', new ToolNode(tools))
    .addEdge('__start__', 'tools')
    .addEdge('tools', '__end__')
    .compile(options)
}

type State = typeof MessagesAnnotation
export type ToolGraph = CompiledStateGraph<
  State['State'],
  State['Update'],
  '__start__' | 'tools',
  State['spec'],
  State['spec']
>

/** The ways in which a tool is called, by their names. Each returns the tool message of one call. */
export const callers: Record<
  string,
  (tools: TheazoTool[], call: ScriptedCall, config?: { signal?: AbortSignal }) => Promise<ToolMessage>
> = {
  async ToolNode(tools, call, config) {
    const { messages } = await toolGraph(tools).invoke({ messages: [calling(call)] }, config)
    return onlyToolMessage(messages)
  },
  async createAgent(tools, call, config) {
    const model = fakeModel().respondWithTools([call]).respond(new AIMessage('done'))
    const { messages } = await createAgent({ model, tools }).invoke({ messages: [new HumanMessage('go')] }, config)
    return onlyToolMessage(messages)
  },
  async 'tool.invoke'(tools, call, config) {
    const tool = tools.find(({ name }) => name === call.name)
    return (await tool?.invoke({ ...call, type: 'tool_call' }, config)) as ToolMessage // a tool call returns one
  },
}

function onlyToolMessage(messages: unknown[]): ToolMessage {
  const [message, ...others] = messages.filter((one) => ToolMessage.isInstance(one))
  if (!message || others.length > 0) throw new Error(`expected one tool message, not ${others.length + 1}`)
  return message
}

/** LangChain's middleware for approvals. Its types do not accept `exactOptionalPropertyTypes`. */
export function approvals(interruptOn: Record<string, boolean>): AgentMiddleware {
  return (humanInTheLoopMiddleware as (options: object) => unknown)({ interruptOn }) as AgentMiddleware
}
