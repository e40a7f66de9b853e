import { Annotation, START, StateGraph } from '@langchain/langgraph'
import { createTheazoNode } from '@theazo/langchain'

const State = Annotation.Root({
  task: Annotation<string>,
  answer: Annotation<string>,
  cents: Annotation<number>,
})
const worker = createTheazoNode({
  userId: 'user_123',
  task: ({ task }: typeof State.State) => task,
  update: ({ output, cost }) => ({ answer: output, cents: cost?.amount ?? 0 }),
})
const graph = new StateGraph(State).addNode('worker', worker).addEdge(START, 'worker').compile()
const { answer, cents } = await graph.invoke({ task: 'Summarise /workspace/report.csv' })
console.log(answer, `(${cents} cents)`)
