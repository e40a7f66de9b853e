import { ChatAnthropic } from '@langchain/anthropic'
import { theazoTools } from '@theazo/langchain'
import { createAgent } from 'langchain'

const model = new ChatAnthropic({ model: 'claude-sonnet-5-5' })
const graph = createAgent({ model, tools: theazoTools({ userId: 'user_123' }) })
const { messages } = await graph.invoke({ messages: 'What is the 1,000th prime number? Compute it.' })
console.log(messages.at(-1)?.text)
