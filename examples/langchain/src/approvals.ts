import { ChatAnthropic } from '@langchain/anthropic'
import { Command, MemorySaver } from '@langchain/langgraph'
import { theazoInterruptOn, theazoTools } from '@theazo/langchain'
import { createAgent, type HITLRequest, humanInTheLoopMiddleware } from 'langchain'

const agent = createAgent({
  model: new ChatAnthropic({ model: 'claude-sonnet-5-5' }),
  tools: theazoTools({ userId: 'user_123' }),
  middleware: [humanInTheLoopMiddleware({ interruptOn: { ...theazoInterruptOn(), write_file: false } })],
  checkpointer: new MemorySaver(), // with a database, another process can resume the run
})
const config = { configurable: { thread_id: 'thread_1' } }
let state = await agent.invoke({ messages: 'Compute the 1,000th prime number.' }, config)
for (let pending = state.__interrupt__?.[0]; pending; pending = state.__interrupt__?.[0]) {
  const { actionRequests } = pending.value as HITLRequest
  console.log('approved:', actionRequests) // ask the user here
  const decisions = actionRequests.map(() => ({ type: 'approve' }))
  state = await agent.invoke(new Command({ resume: { decisions } }), config)
}
console.log(state.messages.at(-1)?.text)
