import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type {
  AgentStatus,
  ErrorEnvelope,
  ExecResult,
  Feature,
  Task,
  TheazoOptions,
  UsageSummary,
  WireAgent,
  WireSession,
} from '@theazo/core'

/** A request that the server received. */
interface SeenRequest {
  method: string
  /** Below `/v1`. */
  path: string
  query: Record<string, string>
  // Each test says what it expects of the body.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any
  headers: IncomingMessage['headers']
  /** Resolves when the client has closed the connection before the answer was complete. */
  disconnected: Promise<void>
}

/** Returns the body of the answer, or undefined after it has written to the response itself. */
export type Route = (request: SeenRequest, response: ServerResponse) => unknown

/** An answer that is not 200. */
export class Answer {
  readonly status: number
  readonly body: unknown
  constructor(status: number, body: unknown) {
    this.status = status
    this.body = body
  }
}

/** A server in this process that gives the answers of the test, and records the requests. */
export interface ScriptedApi extends AsyncDisposable {
  options: TheazoOptions & { baseUrl: string; apiKey: string }
  requests: SeenRequest[]
  /** Method and path of each request. */
  readonly calls: string[]
}

/** @param routes by method and path, e.g. `GET /agents/agt_1`; `*` stands for one segment. */
export async function startApi(routes: Record<string, Route>, features: Feature[] = []): Promise<ScriptedApi> {
  const requests: SeenRequest[] = []
  const server = createServer(async (incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://localhost')
    const disconnected = Promise.withResolvers<void>()
    response.once('close', () => !response.writableFinished && disconnected.resolve())
    const body = await text(incoming)
    const request: SeenRequest = {
      method: incoming.method ?? '',
      path: url.pathname.replace(/^\/v1/, ''),
      query: Object.fromEntries(url.searchParams),
      body: body === '' ? undefined : JSON.parse(body),
      headers: incoming.headers,
      disconnected: disconnected.promise,
    }
    requests.push(request)
    response.setHeader('theazo-features', features.join(', '))
    const route = routeOf(routes, request)
    const value = route ? await route(request, response) : error(404, 'not_found', `There is no ${request.path} here.`)
    if (value === undefined) return
    const { status, body: answer } = value instanceof Answer ? value : new Answer(200, value)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // of a TCP server
  return {
    options: { baseUrl: `http://127.0.0.1:${port}/v1`, apiKey: 'th_test_scripted' },
    requests,
    get calls() {
      return requests.map(({ method, path }) => `${method} ${path}`)
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function routeOf(routes: Record<string, Route>, { method, path }: SeenRequest): Route | undefined {
  const segments = `${method} ${path}`.split('/')
  const pattern = Object.keys(routes).find((key) => {
    const own = key.split('/')
    return own.length === segments.length && own.every((segment, at) => segment === '*' || segment === segments[at])
  })
  return pattern === undefined ? undefined : routes[pattern]
}

/** The error envelope. */
export function error(status: number, code: string, message: string): Answer {
  return new Answer(status, { error: { code, message, requestId: 'req_1' } } satisfies ErrorEnvelope)
}

/** Writes an event stream. `send` waits until the socket has room for the next event. */
export function eventStream(response: ServerResponse) {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  return {
    async send(event: string, data: unknown): Promise<void> {
      if (response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`) || response.destroyed) return
      const waiting = new AbortController()
      const { signal } = waiting
      await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })])
      waiting.abort()
    },
    end: () => response.end(),
  }
}

const at = '2026-01-02T03:04:05.000Z'

export function wireSession(id: string, more: Partial<WireSession> = {}): WireSession {
  return {
    id,
    userId: 'user_1',
    status: 'active',
    limits: {},
    metadata: {},
    createdAt: at,
    updatedAt: at,
    ...more,
  } satisfies WireSession
}

export function wireAgent(status: AgentStatus, more: Partial<WireAgent> = {}): WireAgent {
  return {
    id: 'agt_1',
    sessionId: 'ses_1',
    status,
    compute: { provider: 'local' },
    model: null,
    browser: false,
    instructions: null,
    tools: [],
    timeout: 300,
    task: null,
    createdAt: at,
    updatedAt: at,
    ...more,
  } satisfies WireAgent
}

export const wireTask = {
  id: 'task_1',
  agentId: 'agt_1',
  status: 'completed',
  prompt: 'add',
  output: '4',
  cost: { amount: 1, currency: 'usd' },
  usage: { inputTokens: 10, outputTokens: 2 },
  createdAt: at,
  startedAt: at,
  finishedAt: at,
} satisfies Task

export const wireUsage = {
  period: { from: at, until: at },
  compute: { minutes: 142, cost: { amount: 710, currency: 'usd' } },
  models: { inputTokens: 1, outputTokens: 1, cost: { amount: 1, currency: 'usd' } },
  storage: { gb: 0.4, cost: { amount: 4, currency: 'usd' } },
  total: { amount: 715, currency: 'usd' },
} satisfies UsageSummary

export function execResult(stdout: string, more: Partial<ExecResult> = {}): ExecResult {
  return { stdout, stderr: '', exitCode: 0, durationMs: 1, ...more } satisfies ExecResult
}
