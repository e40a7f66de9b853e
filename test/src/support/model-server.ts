import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { streamedCompletion, streamedMessage } from './streamed-message.ts'

/** A tool call that the server's models return before their answer. */
export interface WantedCall {
  name: string
  input: Record<string, unknown>
}

/** A local server that speaks the APIs of model providers, in the shapes of their references. Anthropic's and OpenAI's Chat Completions also stream. */
export interface ModelServer extends AsyncDisposable {
  /** `http://127.0.0.1:…`, without a path. */
  url: string
  /** All requests, in their order. */
  requests: ModelRequest[]
}

/** A request that a provider's package has sent. */
interface ModelRequest {
  path: string
  headers: IncomingHttpHeaders
  body: Record<string, unknown>
}

/**
 * Starts the server on a free port of this machine.
 *
 * @param callsFor returns the tool calls for the text of a request. The model makes one call for each turn, then answers.
 */
export async function startModelServer(
  callsFor: (request: string) => readonly WantedCall[] = () => [],
): Promise<ModelServer> {
  const requests: ModelRequest[] = []
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request)
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    requests.push({ path, headers: request.headers, body })
    const api = Object.entries(apis).find(([ending]) => path.endsWith(ending))?.[1]
    const text = JSON.stringify(body)
    // The number of passed turns is the number of tool results in the conversation.
    const turn =
      text.match(/"(role":"tool|type":"function_call_output|type":"tool_result|functionResponse)"/g)?.length ?? 0
    const answer = api?.(callsFor(text)[turn], turn)
    const stream = body['stream'] === true && streams.find(([ending]) => path.endsWith(ending))?.[1]
    response.setHeader('content-type', stream ? 'text/event-stream' : 'application/json')
    response.statusCode = api ? 200 : 404
    response.end(stream && answer ? stream(answer) : JSON.stringify(answer ?? { error: { message: `no ${path}` } }))
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo // the server listens
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Answers as event streams, by the end of the path, which decides about the type of the answer. */
const streams: readonly [string, (answer: object) => string][] = [
  ['/messages', (answer) => streamedMessage(answer as Parameters<typeof streamedMessage>[0])],
  ['/chat/completions', (answer) => streamedCompletion(answer as Parameters<typeof streamedCompletion>[0])],
]

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
}

/** Answers by the end of the path: a call of a tool, or the text `{}`, which is also a structured answer. */
const apis: Record<string, (call: WantedCall | undefined, turn: number) => object> = {
  '/chat/completions': (call, turn) => ({
    id: `chatcmpl-${turn}`,
    object: 'chat.completion',
    created: 1,
    model: 'gpt-5-mini',
    choices: [
      {
        index: 0,
        finish_reason: call ? 'tool_calls' : 'stop',
        message: {
          role: 'assistant',
          content: call ? null : '{}',
          ...(call && {
            tool_calls: [
              {
                id: `call_${turn}`,
                type: 'function',
                function: { name: call.name, arguments: JSON.stringify(call.input) },
              },
            ],
          }),
        },
      },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  }),
  '/responses': (call, turn) => ({
    id: `resp_${turn}`,
    object: 'response',
    created_at: 1,
    status: 'completed',
    model: 'gpt-5-mini',
    incomplete_details: null,
    output: [
      call
        ? {
            id: `fc_${turn}`,
            type: 'function_call',
            status: 'completed',
            call_id: `call_${turn}`,
            name: call.name,
            arguments: JSON.stringify(call.input),
          }
        : {
            id: `msg_${turn}`,
            type: 'message',
            role: 'assistant',
            status: 'completed',
            content: [{ type: 'output_text', text: '{}', annotations: [] }],
          },
    ],
    usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 },
  }),
  '/messages': (call, turn) => ({
    id: `msg_${turn}`,
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-5-5',
    stop_reason: call ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    content: [
      call
        ? { type: 'tool_use', id: `toolu_${turn}`, name: call.name, input: call.input }
        : { type: 'text', text: '{}' },
    ],
    usage: { input_tokens: 1, output_tokens: 1 },
  }),
  ':generateContent': (call) => ({
    candidates: [
      {
        index: 0,
        finishReason: 'STOP',
        content: {
          role: 'model',
          parts: [call ? { functionCall: { name: call.name, args: call.input } } : { text: '{}' }],
        },
      },
    ],
    usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
  }),
}
