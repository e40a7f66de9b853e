import { type ChatCompletionRequest, type FixtureResponse, LLMock } from '@copilotkit/aimock'
import type { ModelsOptions } from '@theazo/server'
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** What a script sees of a request to a model. */
export interface ModelTurn {
  request: ChatCompletionRequest
  /** The text of the user's last message. */
  prompt: string
  /** Texts of the results of the tool calls since that message, in order. */
  results: string[]
}

/** A request in the provider's own form. */
interface ProviderRequest {
  path: string
  headers: IncomingMessage['headers']
  body: string
}

/** Handles a request in place of the models, for faults. False: the models answer it. */
type Fault = (request: ProviderRequest, response: ServerResponse, number: number) => boolean

/** A local server that speaks the wire protocols of the providers. */
export interface ScriptedModels extends AsyncDisposable {
  /** All requests, in order. */
  requests: ProviderRequest[]
  fault: Fault | undefined
  /** Ends the connection of each answer after this many bytes; undefined: never. */
  cutAfterBytes: number | undefined
  /** Options of a server that uses it for every provider. */
  options: ModelsOptions
  /** Variables of a server process that uses it for every provider. */
  environment: Record<string, string>
}

/** One model of each protocol: Anthropic Messages, OpenAI Responses, Gemini, OpenAI Chat Completions. */
export const modelIds = ['claude-sonnet-4-20250514', 'gpt-4.1-mini', 'gemini-2.5-flash', 'local/llama3.3'] as const

/** Dollars for a million tokens of every scripted model. */
export const price = { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 }

/** Keys that must not appear anywhere. */
export const secretKeys = ['sk-ant-secret-key', 'sk-proj-secret-key', 'AIza-secret-key']

/** Starts the server. @param script the answer of the model. */
export async function startModels(
  script: (turn: ModelTurn) => FixtureResponse | Promise<FixtureResponse>,
): Promise<ScriptedModels> {
  const mock = new LLMock({ port: 0, host: '127.0.0.1', journalMaxEntries: 1 })
  mock.on({ predicate: () => true }, async (request) => await script(turnOf(request)))
  await mock.start()
  const requests: ProviderRequest[] = []
  const server = createServer(async (incoming, response) => {
    const request = { path: incoming.url ?? '/', headers: incoming.headers, body: await text(incoming) }
    requests.push(request)
    if (models.fault?.(request, response, requests.length)) return
    forward(mock.url, request, response, models.cutAfterBytes)
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}` // the server listens
  const [anthropic = '', openai = '', google = ''] = secretKeys
  const models: ScriptedModels = {
    requests,
    fault: undefined,
    cutAfterBytes: undefined,
    options: {
      anthropic: { apiKey: anthropic, baseUrl: `${url}/v1` },
      openai: { apiKey: openai, baseUrl: `${url}/v1` },
      google: { apiKey: google, baseUrl: `${url}/v1beta` },
      compatible: { local: { baseUrl: `${url}/v1` } },
      prices: Object.fromEntries(['anthropic/*', 'openai/*', 'google/*', 'local/*'].map((id) => [id, price])),
    },
    environment: { ANTHROPIC_API_KEY: anthropic, ANTHROPIC_BASE_URL: `${url}/v1` },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await mock.stop()
    },
  }
  return models
}

/** A call of `run_code` that runs Bash. */
export function bash(...codes: string[]): { toolCalls: { name: string; arguments: string }[] } {
  return {
    toolCalls: codes.map((code) => ({ name: 'run_code', arguments: JSON.stringify({ language: 'bash', code }) })),
  }
}

function forward(
  to: string,
  { path, headers, body }: ProviderRequest,
  response: ServerResponse,
  cutAfter?: number,
): void {
  const { host: _host, ...rest } = headers
  const outgoing = httpRequest(new URL(path, to), { method: 'POST', headers: rest }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    let left = cutAfter ?? Infinity
    answer.on('data', (chunk: Buffer) => {
      response.write(chunk.subarray(0, left), () => left <= 0 && response.destroy())
      left -= chunk.length
    })
    answer.on('end', () => left > 0 && response.end())
  })
  outgoing.on('error', () => response.destroy())
  response.on('close', () => outgoing.destroy())
  outgoing.end(body)
}

function turnOf(request: ChatCompletionRequest): ModelTurn {
  const { messages } = request
  const user = messages.findLastIndex(({ role }) => role === 'user')
  const after = messages.slice(user + 1)
  return {
    request,
    prompt: textOf(messages[user]?.content ?? ''),
    results: after.filter(({ role }) => role === 'tool').map(({ content }) => textOf(content)),
  }
}

function textOf(content: ChatCompletionRequest['messages'][number]['content']): string {
  if (typeof content === 'string') return content
  return (content ?? []).map(({ text: part = '' }) => part).join('')
}
