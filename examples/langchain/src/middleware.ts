import { ChatAnthropic } from '@langchain/anthropic'
import { theazoMiddleware } from '@theazo/langchain/middleware'
import { createAgent } from 'langchain'

const agent = createAgent({
  model: new ChatAnthropic({ model: 'claude-sonnet-5-5' }),
  middleware: [theazoMiddleware({ userId: 'user_123', maxCostCents: 50, onEnd: 'pause' })],
})
const { messages } = await agent.invoke({ messages: 'Compute the 1,000th prime number.' })
console.log(messages.at(-1)?.text)
