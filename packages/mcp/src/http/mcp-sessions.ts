import { randomUUID } from 'node:crypto'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import type { Theazo } from '@theazo/core'
import { countOpen } from './count-open.ts'
import { jsonRpcResponse } from './json-rpc-response.ts'
import { RecentEvents } from './recent-events.ts'

/** The MCP server of one session. Disposing it ends the sandboxes that it made. */
export interface SessionServer extends AsyncDisposable {
  server: McpServer
}

/** The user of a new session. */
export interface SessionUser {
  subject: string
  userId: string
  client: Theazo
}

/** Settings of {@link McpSessions}. */
export interface McpSessionsOptions {
  /** Creates the server of a new session. */
  openServer: (user: SessionUser) => SessionServer
  /** Time without a request until a session ends. */
  idleMs: number
  maxSessions: number
  /** Receives faults of the clean-up, which no client waits for. */
  onError: (error: unknown) => void
}

/** The cap on responses of one session that are still sent: a client that does not read keeps them in memory. */
const maxOpenResponses = 100

/** The sessions of an HTTP server. A session ends by DELETE, after a time without requests, and with the server. */
export class McpSessions implements AsyncDisposable {
  readonly #options: McpSessionsOptions
  readonly #sessions = new Map<string, McpSession>()
  readonly #ending = new Set<Promise<void>>()

  constructor(options: McpSessionsOptions) {
    this.#options = options
  }

  get isFull(): boolean {
    return this.#sessions.size >= this.#options.maxSessions
  }

  /** The number of sessions. */
  get size(): number {
    return this.#sessions.size
  }

  /** The session with this id, if it belongs to the user. */
  find(id: string, subject: string): McpSession | undefined {
    const session = this.#sessions.get(id)
    return session?.subject === subject ? session : undefined
  }

  /** Answers a request to initialize, and stores the session if the transport accepts the request. */
  async initialize(request: Request, body: unknown, user: SessionUser): Promise<Response> {
    const { openServer, idleMs } = this.#options
    const id = randomUUID()
    const opened = openServer(user)
    const session: McpSession = new McpSession(user.subject, opened, {
      idleMs,
      onIdle: () => this.#end(id),
      transport: new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => id,
        eventStore: new RecentEvents(),
        onsessioninitialized: () => void this.#sessions.set(id, session),
        onsessionclosed: () => this.#end(id),
      }),
    })
    await opened.server.connect(session.transport)
    const response = await session.answer(request, body)
    if (!this.#sessions.has(id)) await session[Symbol.asyncDispose]()
    return response
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of Array.from(this.#sessions.keys())) this.#end(id)
    await Promise.all(this.#ending)
  }

  /** Ends a session in the background. Only the end of the server waits for it. */
  #end(id: string): void {
    const session = this.#sessions.get(id)
    if (!session) return
    this.#sessions.delete(id)
    const ending = session[Symbol.asyncDispose]().catch(this.#options.onError)
    this.#ending.add(ending)
    void ending.finally(() => this.#ending.delete(ending))
  }
}

/** One client's connection over any number of HTTP requests. */
export class McpSession implements AsyncDisposable {
  readonly subject: string
  readonly transport: WebStandardStreamableHTTPServerTransport
  readonly #opened: SessionServer
  readonly #idle: ReturnType<typeof setTimeout>
  #openResponses = 0

  constructor(
    subject: string,
    opened: SessionServer,
    options: { transport: WebStandardStreamableHTTPServerTransport; idleMs: number; onIdle: () => void },
  ) {
    this.subject = subject
    this.transport = options.transport
    this.#opened = opened
    this.#idle = setTimeout(options.onIdle, options.idleMs)
  }

  /** Answers a request of this session. */
  async answer(request: Request, parsedBody: unknown): Promise<Response> {
    this.#idle.refresh()
    if (request.method !== 'DELETE' && this.#openResponses >= maxOpenResponses) {
      const message = `This session has ${maxOpenResponses} open responses. Read them first.`
      return jsonRpcResponse(429, 'server', message, { 'Retry-After': '1' })
    }
    const response = await this.transport.handleRequest(request, { parsedBody })
    if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) return response
    this.#openResponses += 1
    return countOpen(response, () => (this.#openResponses -= 1))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle)
    await this.#opened.server.close()
    await this.#opened[Symbol.asyncDispose]()
  }
}
