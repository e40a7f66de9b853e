import { ChatAnthropic } from '@langchain/anthropic'
import { artifactOf, theazoTools } from '@theazo/langchain'
import { createAgent } from 'langchain'

const model = new ChatAnthropic({ model: 'claude-sonnet-5-5' })
const tools = theazoTools({ userId: 'user_123' }) // reads THEAZO_API_KEY and THEAZO_BASE_URL
const agent = createAgent({ model, tools })
const { messages } = await agent.invoke({ messages: 'Compute the 1,000th prime number.' })
for (const message of messages) {
  const result = artifactOf(message, 'run_code')
  if (result) console.log(`exit code ${result.exitCode} after ${result.durationMs} ms: ${result.stdout}`)
}
console.log(messages.at(-1)?.text)
