import { ChatAnthropic } from '@langchain/anthropic'
import { Theazo } from '@theazo/core'
import { theazoBackend, TheazoSandbox } from '@theazo/langchain/deepagents'
import { createDeepAgent } from 'deepagents'

const session = await new Theazo().sessions.forUser('user_123')
await using sandbox = await TheazoSandbox.create({ session, initialFiles: { 'data.csv': 'a,b\n1,2\n' } })
const model = new ChatAnthropic({ model: 'claude-sonnet-5-5' })
const assistant = createDeepAgent({ model, backend: theazoBackend(sandbox) })
const { messages } = await assistant.invoke({ messages: 'Which columns has /workspace/data.csv?' })
console.log(messages.at(-1)?.text)
