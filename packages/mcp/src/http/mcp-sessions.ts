import { randomUUID } from 'node:crypto'
import type { Theazo } from '@theazo/core'
import { countOpen } from './count-open.ts'
import { jsonRpcResponse } from './json-rpc-response.ts'

/** The requests of one client, answered by one version of the SDK. */
export interface HttpConnection {
  answer: (request: Request, parsedBody: unknown) => Promise<Response>
  /** Stops the calls of the client. */
  close: () => Promise<void>
}

/** The session that a client has initialized. */
export interface HttpConnectionOptions {
  sessionId: string
  /** The request to initialize was accepted. */
  onInitialized: () => void
  /** The client has ended the session by DELETE. */
  onClosed: () => void
}

/** The MCP server of a new session. Disposing it ends the sandboxes that it made. */
export interface SessionServer extends AsyncDisposable {
  /** Connects it to a client that initializes. */
  connect: (options: HttpConnectionOptions) => Promise<HttpConnection>
  /** Connects it to a user whose requests each stand alone (protocol 2026-07-28). */
  connectStateless: () => Promise<HttpConnection>
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
  maxSessionsPerUser: number
  /** Receives faults of the clean-up, which no client waits for. */
  onError: (error: unknown) => void
}

/** A place for one more session, until it is disposed. */
export type ReservedPlace = Disposable

/** The cap on responses of one session that are still sent: a client that does not read keeps them in memory. */
const maxOpenResponses = 100

/** The sessions of an HTTP server. A session ends by DELETE, after a time without requests, and with the server. */
export class McpSessions implements AsyncDisposable {
  readonly #options: McpSessionsOptions
  /** By the id that the client has, or by the key of a user whose requests stand alone. */
  readonly #sessions = new Map<string, McpSession>()
  readonly #ending = new Set<Promise<void>>()
  /** The subjects of sessions that are being opened. */
  readonly #reserved: string[] = []

  constructor(options: McpSessionsOptions) {
    this.#options = options
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

  /** The session of a user whose requests stand alone. */
  findStateless(subject: string): McpSession | undefined {
    return this.#sessions.get(statelessKey(subject))
  }

  /** Reserves a place for a session that opens soon, or returns the response that refuses it. */
  reserve(subject: string): ReservedPlace | Response {
    const { maxSessions, maxSessionsPerUser } = this.#options
    if (this.#sessions.size + this.#reserved.length >= maxSessions) {
      return jsonRpcResponse(503, 'server', 'Too many sessions. Try again later.', { 'Retry-After': '30' })
    }
    const subjects = [...Array.from(this.#sessions.values(), (session) => session.subject), ...this.#reserved]
    if (subjects.filter((other) => other === subject).length >= maxSessionsPerUser) {
      const message = `You have ${maxSessionsPerUser} sessions. End one by DELETE, or try again later.`
      return jsonRpcResponse(429, 'server', message, { 'Retry-After': '30' })
    }
    this.#reserved.push(subject)
    return { [Symbol.dispose]: () => void this.#reserved.splice(this.#reserved.indexOf(subject), 1) }
  }

  /** Answers a request to initialize, and stores the session if the transport accepts the request. */
  async initialize(request: Request, body: unknown, user: SessionUser): Promise<Response> {
    const id = randomUUID()
    const opened = this.#options.openServer(user)
    const connection = await opened.connect({
      sessionId: id,
      onInitialized: () => void this.#sessions.set(id, session),
      onClosed: () => this.#end(id),
    })
    const session = this.#createSession(id, user.subject, opened, connection)
    const response = await session.answer(request, body)
    if (!this.#sessions.has(id)) await session[Symbol.asyncDispose]()
    return response
  }

  /** Opens the session of a user whose requests stand alone. */
  async openStateless(user: SessionUser): Promise<McpSession> {
    const key = statelessKey(user.subject)
    const opened = this.#options.openServer(user)
    const session = this.#createSession(key, user.subject, opened, await opened.connectStateless())
    const earlier = this.#sessions.get(key) // another request of the user was faster
    if (!earlier) this.#sessions.set(key, session)
    else await session[Symbol.asyncDispose]()
    return earlier ?? session
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of Array.from(this.#sessions.keys())) this.#end(id)
    await Promise.all(this.#ending)
  }

  #createSession(id: string, subject: string, opened: SessionServer, connection: HttpConnection): McpSession {
    return new McpSession(subject, opened, connection, { idleMs: this.#options.idleMs, onIdle: () => this.#end(id) })
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

/** No header can contain a line break, so that no client can name this key as its session id. */
function statelessKey(subject: string): string {
  return `\n${subject}`
}

/** One client's connection over any number of HTTP requests. */
export class McpSession implements AsyncDisposable {
  readonly subject: string
  readonly #connection: HttpConnection
  readonly #opened: SessionServer
  readonly #idle: ReturnType<typeof setTimeout>
  #openResponses = 0

  constructor(
    subject: string,
    opened: SessionServer,
    connection: HttpConnection,
    options: { idleMs: number; onIdle: () => void },
  ) {
    this.subject = subject
    this.#connection = connection
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
    const response = await this.#connection.answer(request, parsedBody)
    if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) return response
    this.#openResponses += 1
    return countOpen(response, () => (this.#openResponses -= 1))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle)
    await this.#connection.close()
    await this.#opened[Symbol.asyncDispose]()
  }
}
