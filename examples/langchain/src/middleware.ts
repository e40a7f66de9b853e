import { ChatAnthropic } from '@langchain/anthropic'
import { theazoMiddleware } from '@theazo/langchain/middleware'
import { createAgent } from 'langchain'

const agent = createAgent({
  model: new ChatAnthropic({ model: 'claude-sonnet-5-5' }),
  middleware: [
    theazoMiddleware({
      sandbox: ({ configurable }) => ({ userId: 'user_123', name: configurable?.['thread_id'] }),
      maxCostCents: 50,
      onEnd: 'pause',
    }),
  ],
})
const config = { configurable: { thread_id: 'thread_1' } }
const { messages } = await agent.invoke({ messages: 'Compute the 1,000th prime number.' }, config)
console.log(messages.at(-1)?.text)
