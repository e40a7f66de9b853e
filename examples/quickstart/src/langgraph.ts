import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { ToolNode, toolsCondition } from '@langchain/langgraph/prebuilt'
import { createTheazoTools } from '@theazo/langchain'
import { type FrameworkContext, type FrameworkRun, observed, type Step } from './framework-run.ts'
import { langChainModel } from './models.ts'

/** LangGraph: a graph of the model and the prebuilt ToolNode. */
export async function runLangGraph(context: FrameworkContext): Promise<FrameworkRun> {
  const { theazo, task, model: choice, signal, onStep } = context
  const session = await theazo.sessions.forUser('quickstart', { signal })
  await using agent = await session.agents.create({ signal })
  const steps: Step[] = []
  const record = (step: Step): void => {
    steps.push(step)
    onStep(step)
  }

  const tools = createTheazoTools({ agent: observed(agent, record) })
  const model = langChainModel(choice, task).bindTools(tools)
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('model', async ({ messages }, config) => ({ messages: [await model.invoke(messages, config)] }))
    .addNode('tools', new ToolNode(tools))
    .addEdge(START, 'model')
    .addConditionalEdges('model', toolsCondition, ['tools', END])
    .addEdge('tools', 'model')
    .compile()
  const { messages } = await graph.invoke({ messages: [new HumanMessage(task.prompt)] }, { signal })

  return {
    framework: 'LangGraph',
    agentId: agent.id,
    steps,
    // The last message is the model's, written after it was given all before it.
    received: messages
      .slice(0, -1)
      .filter(ToolMessage.isInstance)
      .map((message) => message.text),
    answer: messages.at(-1)?.text ?? '',
  }
}
