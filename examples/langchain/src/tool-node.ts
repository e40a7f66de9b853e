import { ChatAnthropic } from '@langchain/anthropic'
import { AIMessage } from '@langchain/core/messages'
import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { ToolNode } from '@langchain/langgraph/prebuilt'
import { theazoTools } from '@theazo/langchain'

const tools = theazoTools({ userId: 'user_123', groups: ['code', 'files', 'usage'] })
const model = new ChatAnthropic({ model: 'claude-sonnet-5-5' }).bindTools(tools)
const graph = new StateGraph(MessagesAnnotation)
  .addNode('model', async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
  .addNode('tools', new ToolNode(tools))
  .addEdge(START, 'model')
  .addEdge('tools', 'model')
  .addConditionalEdges('model', ({ messages }) => {
    const last = messages.at(-1)
    return AIMessage.isInstance(last) && last.tool_calls?.length ? 'tools' : END
  })
  .compile()
const { messages } = await graph.invoke({ messages: [{ role: 'user', content: 'Compute the 1,000th prime number.' }] })
console.log(messages.at(-1)?.text)
