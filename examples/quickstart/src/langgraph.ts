import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
import { ToolNode, toolsCondition } from '@langchain/langgraph/prebuilt'
import { theazoTools } from '@theazo/langchain'
import { type FrameworkContext, type FrameworkRun, type Step, stepOf } from './framework-run.ts'
import { langChainModel } from './models.ts'

/** Runs the task with LangGraph: a graph of the model and the prebuilt ToolNode. */
export async function runLangGraph(context: FrameworkContext): Promise<FrameworkRun> {
  const { theazo, task, model: choice, signal, onStep } = context
  const session = await theazo.sessions.forUser('quickstart', { signal })
  // If this program is killed, the server ends the agent.
  const idleTimeout = { seconds: 900, action: 'terminate' } as const
  await using agent = await session.agents.create({ idleTimeout, signal })

  const tools = theazoTools({ agent })
  const model = langChainModel(choice, task).bindTools(tools)
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('model', async ({ messages }, config) => ({ messages: [await model.invoke(messages, config)] }))
    .addNode('tools', new ToolNode(tools))
    .addEdge(START, 'model')
    .addConditionalEdges('model', toolsCondition, ['tools', END])
    .addEdge('tools', 'model')
    .compile()

  const steps: Step[] = []
  const started = new Map<string, { name: string; input: unknown; at: number }>()
  const { messages } = await graph.invoke(
    { messages: [new HumanMessage(task.prompt)] },
    {
      signal,
      callbacks: [
        {
          handleToolStart: (_tool, input, runId, _parent, _tags, _metadata, name = '') => {
            started.set(runId, {
              name,
              input: typeof input === 'string' ? JSON.parse(input) : input,
              at: performance.now(),
            })
          },
          handleToolEnd: (message: ToolMessage, runId) => {
            const { name, input, at } = started.get(runId) ?? { name: '', input: {}, at: 0 }
            const step = stepOf(name, input, message.text, performance.now() - at)
            steps.push(step)
            onStep(step)
          },
        },
      ],
    },
  )

  return {
    framework: 'LangGraph',
    agentId: agent.id,
    steps,
    // The last message is the model's answer; the model received all messages before it.
    received: messages
      .slice(0, -1)
      .filter(ToolMessage.isInstance)
      .map((message) => message.text),
    answer: messages.at(-1)?.text ?? '',
  }
}
