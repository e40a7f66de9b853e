import { once } from 'node:events'
import { createServer } from 'node:http'
import { ChatAnthropic } from '@langchain/anthropic'
import { theazoTools } from '@theazo/langchain'
import { createAgent } from 'langchain'

const agent = createAgent({
  model: new ChatAnthropic({ model: 'claude-sonnet-5-5' }),
  tools: theazoTools({ sandbox: ({ configurable }) => configurable?.['userId'] }),
})
const server = createServer(async (request, response) => {
  const left = new AbortController()
  response.on('close', () => left.abort()) // a reader that leaves ends the code in the sandbox
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const question = new URL(request.url ?? '/', 'http://localhost').searchParams.get('q') ?? ''
  const config = { configurable: { userId: 'user_123' }, signal: left.signal } // from your login, never from the request
  const stream = await agent.stream({ messages: question }, { ...config, streamMode: ['custom', 'updates'] })
  for await (const [mode, chunk] of stream) response.write(`event: ${mode}\ndata: ${JSON.stringify(chunk)}\n\n`)
  response.end()
}).listen(0, '127.0.0.1')
await once(server, 'listening')

// A web client reads the same with `new EventSource(url)`.
const { port } = server.address() as { port: number }
const response = await fetch(`http://127.0.0.1:${port}/?q=Compute+the+1,000th+prime+number.`)
for await (const chunk of response.body ?? []) process.stdout.write(chunk)
server.close()
