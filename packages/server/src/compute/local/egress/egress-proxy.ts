import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connectTo, type EgressRoute } from './connect.ts'
import { egressLimits } from './egress-limits.ts'
import { type EgressRecord, OpenRecord } from './egress-record.ts'
import { forwardRequest, headersToSend } from './forward-request.ts'
import { listenAt } from './listen-at.ts'
import { answerRefused, asRefusal, EgressRefusal, endRefused, isRefused } from './refusal.ts'
import { type Target, targetOfConnect, targetOfUrl } from './target.ts'
import { tunnel } from './tunnel.ts'

/** Options of the proxy of one sandbox. */
export interface EgressProxyOptions extends EgressRoute {
  /** Connections of code at a time. */
  maxConnections: number
  /**
   * A client or a target that takes longer to send its headers is dropped. For a target the time starts with its first
   * byte.
   */
  headersTimeoutMs: number
  /** A connection without data for this time is dropped. Milliseconds. */
  idleMs: number
  /** Sent first on each connection: it proves to the server which process has accepted it. Default: nothing. */
  greeting?: Uint8Array
  /** Called when a use of the network has ended. */
  onEnd: (record: EgressRecord) => void
}

/** How long a connection stays open between two requests. */
const keepAliveMs = 60_000

/**
 * The HTTP proxy of one sandbox. There are no credentials: only that sandbox can connect to its socket.
 *
 * Both sides of it are hostile. Each event ends in a `catch` that closes the connection it came from, and each socket
 * has a listener for `error`, so no byte from outside can end the process that way.
 */
export class EgressProxy implements AsyncDisposable {
  readonly #options: EgressProxyOptions
  readonly #server: Server
  readonly #clients = new Set<Socket>()
  readonly #upstreams = new Set<Socket>()
  /** Connections beyond the limit, which get a 503. */
  readonly #turnedAway = new WeakSet<Duplex>()
  /** Uses of the network that have not ended. */
  readonly #open = new Set<OpenRecord>()
  /** Connections with a running request. */
  readonly #busy = new WeakMap<Duplex, OpenRecord>()

  constructor(options: EgressProxyOptions) {
    this.#options = options
    const { headersTimeoutMs, maxConnections } = options
    this.#server = createServer({
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: Math.ceil(headersTimeoutMs / 3), // the default of 30 s would be added to it
      requestTimeout: 0, // a body may take any time as long as data arrives
      keepAliveTimeout: keepAliveMs,
      requireHostHeader: false, // this class requires it, and records a refusal
    })
    this.#server.maxHeadersCount = 0 // no limit: Node would drop further headers silently, perhaps the length of the body
    this.#server.maxConnections = maxConnections + egressLimits.maxRefusedConnections
    this.#server.setTimeout(options.idleMs)
    this.#server.on('connection', (client: Socket) => this.#accept(client))
    this.#server.on('connect', (request, client: Socket, head: Buffer) => {
      this.#connect(request, client, head).catch(() => client.destroy())
    })
    const forward = (request: IncomingMessage, response: ServerResponse): void => {
      this.#forward(request, response).catch(() => request.socket.destroy())
    }
    this.#server.on('request', forward)
    this.#server.on('checkExpectation', forward) // `Expect` is not passed on
    this.#server.on('clientError', (error: NodeJS.ErrnoException, client) => this.#refuseBytes(error, client as Socket))
  }

  /** @throws if the socket cannot be created. */
  async listen(path: string): Promise<void> {
    await listenAt(this.#server, path)
  }

  /** Ends every connection, and accepts no more. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening && new Promise((resolve) => this.#server.close(resolve))
    for (const socket of [...this.#clients, ...this.#upstreams]) socket.destroy()
    await closed
    await Promise.all([...this.#open].map(({ ended }) => ended)) // otherwise the last records would come after the end
  }

  #accept(client: Socket): void {
    if (this.#clients.size >= this.#options.maxConnections) this.#turnedAway.add(client)
    this.#clients.add(client)
    client.once('close', () => this.#clients.delete(client))
    if (this.#options.greeting) client.write(this.#options.greeting)
  }

  async #connect(request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    client.on('error', () => {}) // the close event follows
    const record = this.#begin()
    if (this.#busy.has(client)) {
      record.end('busy')
      client.destroy() // a refusal would be written into the current answer
      return
    }
    try {
      this.#assertFree(client)
      record.target = targetOfConnect(request.url ?? '')
      const upstream = await this.#connectTo(record.target, client)
      record.upstream = upstream
      upstream.once('close', () => record.end('passed'))
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      if (head.length > 0) upstream.write(head)
      tunnel(client, upstream, this.#options.idleMs)
    } catch (error) {
      if (client.destroyed) return record.end('abandoned')
      const refusal = asRefusal(error)
      record.end(refusal.outcome)
      endRefused(client, refusal)
    }
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const client = request.socket
    const record = this.#begin()
    request.on('error', () => {}) // the client is gone, which also closes the response
    response.on('error', () => {})
    try {
      this.#assertFree(client)
      this.#busy.set(client, record)
      response.once('close', () => this.#busy.delete(client))
      const target = targetOfUrl(request.url ?? '')
      record.target = { host: target.host, port: target.port }
      const headers = headersToSend(request, target)
      const upstream = await this.#connectTo(target, client)
      record.upstream = upstream
      await forwardRequest(request, response, target, headers, upstream, this.#options.headersTimeoutMs)
      record.end('passed')
    } catch (error) {
      if (client.destroyed) return record.end('abandoned')
      const refusal = asRefusal(error)
      record.end(refusal.outcome)
      if (this.#turnedAway.has(client)) response.setHeader('connection', 'close')
      answerRefused(request, response, refusal)
    }
  }

  /** Bytes that are not an HTTP request, headers that take too long, or a connection that broke. */
  #refuseBytes({ code }: NodeJS.ErrnoException, client: Socket): void {
    if (isRefused(client)) return // the rest of a request that is already answered
    const outcome = code === 'ECONNRESET' || code === 'HPE_INVALID_EOF_STATE' ? 'abandoned' : 'invalid'
    const underWay = this.#busy.get(client)
    if (underWay || !client.writable) {
      if (outcome === 'invalid') underWay?.end(outcome)
      client.destroy()
      return
    }
    if (client.bytesRead > 0) this.#begin().end(outcome)
    endRefused(client, new EgressRefusal('invalid', 'this is not an HTTP request'))
  }

  /** @throws {EgressRefusal} 503, also for a request before the answer to the last one: each needs a connection of its own. */
  #assertFree(client: Socket): void {
    if (this.#turnedAway.has(client)) {
      const { maxConnections } = this.#options
      throw new EgressRefusal('busy', `too many connections: an agent may have ${maxConnections} at a time`)
    }
    if (this.#busy.has(client)) throw new EgressRefusal('busy', 'one request at a time on a connection')
  }

  async #connectTo(target: Target, client: Socket): Promise<Socket> {
    const disconnected = new AbortController()
    const onClose = (): void => disconnected.abort(new EgressRefusal('unreachable', 'the client has gone'))
    client.once('close', onClose)
    try {
      if (client.destroyed) onClose()
      const upstream = await connectTo(target, this.#options, disconnected.signal)
      this.#upstreams.add(upstream)
      upstream.once('close', () => this.#upstreams.delete(upstream))
      return upstream
    } finally {
      client.off('close', onClose)
    }
  }

  #begin(): OpenRecord {
    const record = new OpenRecord(this.#options.onEnd)
    this.#open.add(record)
    void record.ended.then(() => this.#open.delete(record))
    return record
  }
}
