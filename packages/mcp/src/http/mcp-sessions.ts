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
interface SessionUser {
  subject: string
  userId: string
  client: Theazo
}

/** The user of a request that may open a session. */
export interface OpeningUser {
  subject: string
  /** Returns the user with a client, or the response that refuses the user. */
  open: () => Promise<SessionUser | Response>
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

/** A reserved session. Disposing it releases the reservation. */
type Reservation = Disposable

/** The cap on unfinished responses of one session: a client that does not read keeps them in memory. */
const maxOpenResponses = 100

/** The sessions of an HTTP server. A session ends by DELETE, after a time without requests, and with the server. */
export class McpSessions implements AsyncDisposable {
  readonly #options: McpSessionsOptions
  /** By the id that the client has, or by the key of a user whose requests stand alone. */
  readonly #sessions = new Map<string, McpSession>()
  readonly #ending = new Set<Promise<void>>()
  /** The subjects of sessions that are being opened. */
  readonly #reserved: string[] = []
  /** The sessions without `initialize` that are being opened, by their keys. They never reject. */
  readonly #opening = new Map<string, Promise<void>>()
  #isClosed = false

  constructor(options: McpSessionsOptions) {
    this.#options = options
  }

  /** True if the server has ended: it opens no session any more. */
  get isClosed(): boolean {
    return this.#isClosed
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
  async initialize(request: Request, body: unknown, { subject, open }: OpeningUser): Promise<Response> {
    const reservation = this.#reserve(subject)
    if (reservation instanceof Response) return reservation
    using _reservation = reservation
    const user = await open()
    if (user instanceof Response) return user
    const id = randomUUID()
    const opened = this.#options.openServer(user)
    const connection = await opened.connect({
      sessionId: id,
      onInitialized: () => {
        if (!this.#isClosed) this.#sessions.set(id, session)
      },
      onClosed: () => this.#end(id),
    })
    const session = this.#createSession(id, subject, opened, connection)
    const response = await session.answer(request, body)
    if (this.#sessions.has(id)) return response
    await session[Symbol.asyncDispose]()
    return this.#isClosed ? closingResponse() : response
  }

  /**
   * The session of a user whose requests stand alone. The first request opens it, and requests that arrive meanwhile wait
   * for it. If it could not be opened, the next one tries.
   */
  async stateless(user: OpeningUser): Promise<McpSession | Response> {
    const key = statelessKey(user.subject)
    for (let opening = this.#opening.get(key); opening; opening = this.#opening.get(key)) await opening
    const known = this.#sessions.get(key)
    if (known) return known
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#opening.set(key, promise)
    try {
      return await this.#openStateless(key, user)
    } finally {
      this.#opening.delete(key)
      resolve()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const id of Array.from(this.#sessions.keys())) this.#end(id)
    await Promise.all(this.#ending)
  }

  async #openStateless(key: string, { subject, open }: OpeningUser): Promise<McpSession | Response> {
    const reservation = this.#reserve(subject)
    if (reservation instanceof Response) return reservation
    using _reservation = reservation
    const user = await open()
    if (user instanceof Response) return user
    const opened = this.#options.openServer(user)
    const session = this.#createSession(key, subject, opened, await opened.connectStateless())
    if (this.#isClosed) {
      await session[Symbol.asyncDispose]()
      return closingResponse()
    }
    this.#sessions.set(key, session)
    return session
  }

  /** Reserves a session that opens soon, or returns the response that refuses it. */
  #reserve(subject: string): Reservation | Response {
    const { maxSessions, maxSessionsPerUser } = this.#options
    if (this.#isClosed) return closingResponse()
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

/** The refusal of a server that has ended. */
export function closingResponse(): Response {
  return jsonRpcResponse(503, 'server', 'The server is closing.')
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
    // It counts from now on: many requests may arrive before the first one has its response.
    this.#openResponses += 1
    const end = (): void => void (this.#openResponses -= 1)
    try {
      const response = await this.#connection.answer(request, parsedBody)
      const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
      if (isStream) return countOpen(response, end)
      end()
      return response
    } catch (error) {
      end()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle)
    await this.#connection.close()
    await this.#opened[Symbol.asyncDispose]()
  }
}
