import { once } from 'node:events'
import { createServer } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { ChatAnthropic } from '@langchain/anthropic'
import { theazoTools } from '@theazo/langchain'
import { createAgent } from 'langchain'

const agent = createAgent({
  model: new ChatAnthropic({ model: 'claude-sonnet-5-5' }),
  tools: theazoTools({ sandbox: ({ configurable }) => configurable?.['userId'] }),
})

async function* eventsOf(question: string, userId: string, signal: AbortSignal): AsyncGenerator<string> {
  const config = { configurable: { userId }, signal, streamMode: ['custom' as const, 'updates' as const] }
  for await (const [mode, chunk] of await agent.stream({ messages: question }, config)) {
    yield `event: ${mode}\ndata: ${JSON.stringify(chunk)}\n\n`
  }
}

const server = createServer(async (request, response) => {
  const left = new AbortController()
  response.on('close', () => left.abort()) // a reader that leaves ends the code in the sandbox
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const question = new URL(request.url ?? '/', 'http://localhost').searchParams.get('q') ?? ''
  const userId = 'user_123' // from your login, never from the request
  // It waits for slow readers, and ends the response after an error.
  await pipeline(eventsOf(question, userId, left.signal), response).catch(console.error)
}).listen(0, '127.0.0.1')
await once(server, 'listening')

// A web client reads the same with `new EventSource(url)`.
const { port } = server.address() as { port: number }
const response = await fetch(`http://127.0.0.1:${port}/?q=Compute+the+1,000th+prime+number.`)
for await (const chunk of response.body ?? []) process.stdout.write(chunk)
server.close()
