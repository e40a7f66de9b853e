import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that speaks the Anthropic Messages and the OpenAI Chat Completions protocol (shapes from their SDKs' types). */
export interface FakeProviders extends AsyncDisposable {
  url: string
  /** What was asked, in order. */
  requests: { path: string; headers: Record<string, unknown>; body: ProviderRequest }[]
}

interface ProviderRequest {
  model: string
  messages: { role: string; content: unknown }[]
  tools: unknown[]
}

type Calls = readonly Record<string, unknown>[]

/** Answers a conversation with the tool calls that the prompt's task asks for, one a turn, then with text. */
export async function startFakeProviders(callsFor: (prompt: string) => Calls): Promise<FakeProviders> {
  const requests: FakeProviders['requests'] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const body: ProviderRequest = JSON.parse(text)
    const path = request.url ?? ''
    requests.push({ path, headers: request.headers, body })
    const turn = body.messages.filter(({ role }) => role === 'assistant').length
    const user = body.messages.find(({ role }) => role === 'user')
    const call = callsFor(JSON.stringify(user?.content))[turn]
    const answer = path.endsWith('/messages')
      ? anthropicAnswer(body.model, turn, call)
      : openAiAnswer(body.model, turn, call)
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function anthropicAnswer(model: string, turn: number, input: unknown): object {
  return {
    id: `msg_${turn}`,
    type: 'message',
    role: 'assistant',
    model,
    content: input
      ? [{ type: 'tool_use', id: `toolu_${turn}`, name: 'run_code', input }]
      : [{ type: 'text', text: 'All three steps are done.' }],
    stop_reason: input ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 5, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
  }
}

function openAiAnswer(model: string, turn: number, input: unknown): object {
  const toolCall = {
    id: `call_${turn}`,
    type: 'function',
    function: { name: 'run_code', arguments: JSON.stringify(input) },
  }
  return {
    id: `chatcmpl-${turn}`,
    object: 'chat.completion',
    created: 1_790_000_000,
    model,
    choices: [
      {
        index: 0,
        message: input
          ? { role: 'assistant', content: null, refusal: null, tool_calls: [toolCall] }
          : { role: 'assistant', content: 'All three steps are done.', refusal: null },
        logprobs: null,
        finish_reason: input ? 'tool_calls' : 'stop',
      },
    ],
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  }
}
