import { ChatAnthropic } from '@langchain/anthropic'
import { MemorySaver } from '@langchain/langgraph'
import { Theazo } from '@theazo/core'
import { TheazoToolkit } from '@theazo/langchain'
import { createAgent } from 'langchain'

const theazo = new Theazo()
const session = await theazo.sessions.forUser('user_123')
await session.update({ limits: { maxCost: { amount: 500, currency: 'usd', period: 'day' } } }) // $5 a day for this user

await using toolkit = new TheazoToolkit({
  client: theazo,
  sandbox: ({ configurable }) => ({ userId: configurable?.['userId'], name: configurable?.['thread_id'] }),
})
const agent = createAgent({
  model: new ChatAnthropic({ model: 'claude-sonnet-5-5' }),
  tools: toolkit.getTools(),
  checkpointer: new MemorySaver(),
})
const config = { configurable: { userId: 'user_123', thread_id: 'thread_1' } }
const sandbox = await toolkit.sandbox(config)
await sandbox.files.write('data.csv', 'a,b\n1,2\n') // a file that the user has uploaded
const { messages } = await agent.invoke({ messages: 'Which columns has data.csv?' }, config)
console.log(messages.at(-1)?.text)
