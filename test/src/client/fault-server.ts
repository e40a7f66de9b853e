import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import type { ExecResult, Feature } from '@theazo/core'
import type { EventLog, LiveStream, StreamStyle } from './event-log.ts'
import { type ApiRequest, FakeApi } from './fake-api.ts'
import type { Fault } from './faults.ts'

/** A request that arrived, answered or not. */
export type RecordedRequest = ApiRequest

/** The requests that a fault affects, and how many of them. */
export interface FaultOptions {
  /** Default 1. */
  times?: number
  /** Default: every request. */
  when?: (request: RecordedRequest) => boolean
}

/** The extensions of our own server. */
export const allFeatures: readonly Feature[] = [
  'idempotency',
  'exec-stream',
  'exec-stdin',
  'exec-files',
  'exec-options',
  'sessions',
  'agents',
  'tasks',
  'replay',
  'official-sdk',
]

/**
 * Starts a server that answers like the API, with faults on demand. `features` undefined: the reference without
 * extensions.
 */
export async function startFaultServer(
  { features }: { features: readonly Feature[] | undefined } = { features: allFeatures },
): Promise<FaultServer> {
  const server = new FaultServer(features)
  await server.listen()
  return server
}

/**
 * The API over a real port of 127.0.0.1, with faults on demand.
 *
 * Disposing it waits until the client has closed every request and stream, and fails if it does not, so each `await
 * using` checks for leaks.
 */
export class FaultServer implements AsyncDisposable {
  readonly api: FakeApi
  readonly apiKey = 'th_live_key-of-the-fault-server'
  /** Every request that arrived, in order. */
  readonly requests: RecordedRequest[] = []
  /** The format of the n-th stream, from 1. */
  styleOf: (number: number) => StreamStyle = () => ({})
  /** The streams that are open, oldest first. */
  readonly streams = new Set<LiveStream>()
  readonly #server: Server = createServer((request, response) => void this.#handle(request, response))
  readonly #faults: { fault: Fault; times: number; when: (request: RecordedRequest) => boolean }[] = []
  readonly #inFlight = new Map<ServerResponse, RecordedRequest>()
  readonly #waiting = new Set<{ condition: () => boolean; resolve: () => void }>()
  readonly #sockets = new Set<Socket>()
  #streamCount = 0
  #port = 0

  constructor(features: readonly Feature[] | undefined) {
    this.api = new FakeApi(features)
    // A long test must not lose a connection that it counts.
    this.#server.keepAliveTimeout = 60_000
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {}) // tests cause resets on purpose
      socket.once('close', () => {
        this.#sockets.delete(socket)
        this.#changed()
      })
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** The client's options for this server. */
  get options(): { apiKey: string; baseUrl: string } {
    return { apiKey: this.apiKey, baseUrl: this.url }
  }

  get openConnections(): number {
    return this.#sockets.size
  }

  get openStreams(): number {
    return this.streams.size
  }

  /** Method and path of each request without a complete response, including streams. */
  get openRequests(): string[] {
    return Array.from(this.#inFlight.values(), ({ method, path }) => `${method} ${path}`)
  }

  /** Applies a fault to the next requests; faults queue up. */
  fault(fault: Fault, { times = 1, when = () => true }: FaultOptions = {}): void {
    this.#faults.push({ fault, times, when })
  }

  /** Requests that arrived with this method and a path that ends with this text. */
  arrived(method: string, pathEnd: string): RecordedRequest[] {
    return this.requests.filter((request) => request.method === method && request.path.endsWith(pathEnd))
  }

  /**
   * Resolves when the condition is true. It is checked at each start and end of a request, a stream or a connection.
   */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.add({ condition, resolve })
    await promise
  }

  /** Resolves once all connections are idle or closed. */
  async idle(): Promise<void> {
    await this.until(() => this.#inFlight.size === 0)
  }

  /** Accepts connections, also again after {@link refuse}, on the same port. */
  async listen(): Promise<void> {
    if (this.#server.listening) return
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Refuses connections from now on. Resolves when existing ones have ended and the client has noticed. */
  async refuse(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    for (const socket of this.#sockets) socket.end()
    await this.until(() => this.#sockets.size === 0)
    this.#server.close()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, 5000)
    await Promise.race([this.idle(), late])
    clearTimeout(timer)
    const left = this.openRequests
    this.#server.close()
    this.#server.closeAllConnections()
    if (left.length > 0) throw new Error(`The client has not closed ${left.join(', ')}`)
  }

  async #handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = message
    const { pathname, searchParams: query } = new URL(url, this.url)
    const hasBody = headers['content-type'] !== undefined
    const body = hasBody ? await json(message).catch(() => undefined) : undefined
    const request = { method, path: pathname.replace(/^\/v1/, ''), query, headers, body }
    this.requests.push(request)
    this.#inFlight.set(response, request)
    response.once('close', () => {
      this.#inFlight.delete(response)
      this.#changed()
    })
    const usual = {
      'x-request-id': `req_${this.requests.length}`,
      ...(this.api.features && { 'theazo-features': this.api.features.join(', ') }),
    }
    const fault = this.#takeFault(request)
    if (fault) fault({ request, response, headers: usual, perform: () => this.api.answer(request) })
    else this.#answer(request, response, usual)
    this.#changed()
  }

  #takeFault(request: RecordedRequest): Fault | undefined {
    const index = this.#faults.findIndex(({ when }) => when(request))
    const found = this.#faults[index]
    if (!found) return undefined
    found.times -= 1
    if (found.times <= 0) this.#faults.splice(index, 1)
    return found.fault
  }

  #answer(request: RecordedRequest, response: ServerResponse, headers: Record<string, string>): void {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    const log = this.api.log(/^\/agents\/(\w+)\/stream$/.exec(request.path)?.[1] ?? '')
    if (log && request.method === 'GET') return this.#openStream(log, request, response)
    const { status, body } = this.api.answer(request)
    const wantsStream = request.headers.accept?.includes('text/event-stream') && this.api.has('exec-stream')
    if (request.path.endsWith('/exec') && status === 200 && wantsStream) return sendExec(body as ExecResult, response)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

  #openStream(log: EventLog, { headers }: RecordedRequest, response: ServerResponse): void {
    this.#streamCount += 1
    const lastEventId = headers['last-event-id']
    const known = typeof lastEventId === 'string' ? lastEventId : undefined
    const style = this.styleOf(this.#streamCount)
    const hasReplay = this.api.has('replay')
    const stream = log.open(response, known, { hasIds: hasReplay, hasReplay, ...style })
    this.streams.add(stream)
    response.once('close', () => {
      this.streams.delete(stream)
      this.#changed()
    })
  }

  #changed(): void {
    for (const waiter of this.#waiting) {
      if (!waiter.condition()) continue
      this.#waiting.delete(waiter)
      waiter.resolve()
    }
  }
}

function sendExec(result: ExecResult, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of ['stdout', 'stderr'] as const) {
    response.write(`event: ${event}\ndata: ${JSON.stringify({ text: result[event] })}\n\n`)
  }
  response.end(`event: exit\ndata: ${JSON.stringify(result)}\n\n`)
}
