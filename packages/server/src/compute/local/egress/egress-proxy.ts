import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { connectTo, type EgressRoute } from './connect.ts'
import { forwardRequest, headersToSend } from './forward-request.ts'
import { asRefusal, type EgressOutcome, EgressRefusal, endRefused } from './refusal.ts'
import { type Target, targetOfConnect, targetOfUrl } from './target.ts'
import { tunnel } from './tunnel.ts'

/** One use of the network by code. Neither paths nor headers are told. */
export interface EgressRecord {
  /** Undefined where the request named none. */
  target: Target | undefined
  outcome: EgressOutcome
  /** Bytes from the code to the target, and back. */
  bytesUp: number
  bytesDown: number
  durationMs: number
}

/** What a proxy is made of. */
export interface EgressProxyOptions extends EgressRoute {
  /** Connections of code at a time. */
  maxConnections: number
  /** A client that takes longer to send its headers is dropped. */
  headersTimeoutMs: number
  /** A connection on which nothing moves for so long is dropped. */
  idleMs: number
  /** Is told when each has ended. */
  onEnd: (record: EgressRecord) => void
}

/** Until a connection between two requests is closed. */
const keepAliveMs = 60_000
/** Connections beyond those served that are told so; more are closed without a word. */
const maxTurnedAway = 32

/** The HTTP proxy of one sandbox. Who can connect to its socket is that sandbox: nothing is asked for. */
export class EgressProxy implements AsyncDisposable {
  readonly #options: EgressProxyOptions
  readonly #server: Server
  readonly #clients = new Set<Socket>()
  readonly #upstreams = new Set<Socket>()
  /** Those that came when there were enough. */
  readonly #turnedAway = new WeakSet<Socket>()
  readonly #busy = new WeakSet<Socket>()
  /** Fires when the proxy ends. */
  readonly #closing = new AbortController()

  constructor(options: EgressProxyOptions) {
    this.#options = options
    const { headersTimeoutMs, maxConnections } = options
    this.#server = createServer({
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: Math.ceil(headersTimeoutMs / 3), // Node's own 30 s would be added to it
      requestTimeout: 0, // a body may take as long as it moves
      keepAliveTimeout: keepAliveMs,
    })
    this.#server.maxConnections = maxConnections + maxTurnedAway
    this.#server.setTimeout(options.idleMs)
    this.#server.on('connection', (client: Socket) => this.#take(client))
    this.#server.on('connect', (request, client: Socket, head: Buffer) => void this.#connect(request, client, head))
    this.#server.on('request', (request, response) => void this.#forward(request, response))
    this.#server.on('clientError', (_error, client) => {
      const socket = client as Socket // the server's own are no others
      if (this.#busy.has(socket) || !socket.writable) return socket.destroy()
      return endRefused(socket, new EgressRefusal('invalid', 'this is no HTTP request'))
    })
  }

  /** @throws where the path cannot be had. */
  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  /** Ends every connection, and takes no more. Again is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new EgressRefusal('unreachable', 'the sandbox has ended'))
    const closed = this.#server.listening && new Promise((resolve) => this.#server.close(resolve))
    for (const socket of [...this.#clients, ...this.#upstreams]) socket.destroy()
    await closed
  }

  #take(client: Socket): void {
    if (this.#clients.size >= this.#options.maxConnections) this.#turnedAway.add(client)
    this.#clients.add(client)
    client.once('close', () => this.#clients.delete(client))
  }

  async #connect(request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    client.on('error', () => {}) // it is closed then
    const record = this.#begin()
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
      client.resume() // what it sends meanwhile is dropped, or its end would not be seen
    }
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const client = request.socket
    const record = this.#begin()
    try {
      this.#assertFree(client)
      this.#busy.add(client)
      response.once('close', () => this.#busy.delete(client))
      const target = targetOfUrl(request.url ?? '')
      record.target = { host: target.host, port: target.port }
      const headers = headersToSend(request, target)
      const upstream = await this.#connectTo(target, client)
      record.upstream = upstream
      await forwardRequest(request, response, target, headers, upstream)
      record.end('passed')
    } catch (error) {
      if (client.destroyed) return record.end('abandoned')
      const refusal = asRefusal(error)
      record.end(refusal.outcome)
      const isWhole = request.complete
      response.writeHead(refusal.status, {
        'content-type': 'text/plain; charset=utf-8',
        ...(!(isWhole && this.#isServed(client)) && { connection: 'close' }),
      })
      response.end(`${refusal.message}\n`)
    }
  }

  #isServed(client: Socket): boolean {
    return !this.#turnedAway.has(client)
  }

  /** @throws {EgressRefusal} 503, also for a request that comes before the answer to the last: each is a connection. */
  #assertFree(client: Socket): void {
    const { maxConnections } = this.#options
    if (!this.#isServed(client)) {
      throw new EgressRefusal('busy', `too many connections: an agent may have ${maxConnections} at a time`)
    }
    if (this.#busy.has(client)) throw new EgressRefusal('busy', 'one request at a time on a connection')
  }

  async #connectTo(target: Target, client: Socket): Promise<Socket> {
    const gone = new AbortController()
    const onClose = (): void => gone.abort(new EgressRefusal('unreachable', 'the client has gone'))
    client.once('close', onClose)
    try {
      const upstream = await connectTo(target, this.#options, AbortSignal.any([gone.signal, this.#closing.signal]))
      this.#upstreams.add(upstream)
      upstream.once('close', () => this.#upstreams.delete(upstream))
      return upstream
    } finally {
      client.off('close', onClose)
    }
  }

  #begin(): RecordUnderWay {
    return new RecordUnderWay(this.#options.onEnd)
  }
}

/** Told once, at the end of what it is about. */
class RecordUnderWay {
  target: Target | undefined
  /** Counts the bytes. */
  upstream: Socket | undefined
  readonly #onEnd: (record: EgressRecord) => void
  readonly #startedAt = performance.now()
  #isEnded = false

  constructor(onEnd: (record: EgressRecord) => void) {
    this.#onEnd = onEnd
  }

  end(outcome: EgressOutcome): void {
    if (this.#isEnded) return
    this.#isEnded = true
    const { bytesWritten: bytesUp = 0, bytesRead: bytesDown = 0 } = this.upstream ?? {}
    const durationMs = Math.round(performance.now() - this.#startedAt)
    this.#onEnd({ target: this.target, outcome, bytesUp, bytesDown, durationMs })
  }
}
