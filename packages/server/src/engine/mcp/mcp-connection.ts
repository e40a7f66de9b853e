import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { CallToolResult, Tool } from '@modelcontextprotocol/sdk/types.js'
import { orAbort } from '../../or-abort.ts'
import { maxTools } from '../engine-tool.ts'
import { faultText, isUnprocessed, isConnectionLost } from './mcp-faults.ts'
import type { McpServerOptions } from './mcp-options.ts'
import { closeClient, openTransport } from './mcp-transport.ts'

/** Timeout of the initialization, and of each page of the tool list. */
const answerTimeoutMs = 10_000
/** A call may last as long as an exec. */
const callTimeoutMs = 120_000

/** One connection to the server. If it is dropped, it gets no new calls and closes after the last one. */
interface OpenConnection {
  client: Client
  inFlight: number
  isDropped: boolean
}

/**
 * The connection to one MCP server, shared by all agents. It opens at the first use, and again at the next use after the
 * server has ended.
 */
export class McpConnection implements AsyncDisposable {
  readonly #options: McpServerOptions
  readonly #closing = new AbortController()
  readonly #open = new Set<OpenConnection>()
  #current: Promise<OpenConnection> | undefined
  /** The connection behind `#current`, known while it is still being opened. */
  #latest: OpenConnection | undefined

  constructor(options: McpServerOptions) {
    this.#options = options
  }

  /** The server's tools, at most 128. @throws the signal's reason, or the fault of the server. */
  async tools(signal: AbortSignal): Promise<Tool[]> {
    const { ListToolsResultSchema } = await import('@modelcontextprotocol/sdk/types.js')
    return await this.#use(async (client) => {
      const tools: Tool[] = []
      let cursor: string | undefined
      do {
        const params = cursor === undefined ? {} : { cursor }
        const options = limited(signal, answerTimeoutMs)
        // Not listTools: it compiles the schemas of outputs, and one that is invalid would cost the whole list.
        const page = await client.request({ method: 'tools/list', params }, ListToolsResultSchema, options)
        tools.push(...page.tools)
        cursor = page.nextCursor
      } while (cursor !== undefined && tools.length < maxTools)
      return tools.slice(0, maxTools)
    }, signal)
  }

  /** Calls a tool. @throws the signal's reason, or the fault of the server. */
  async call(name: string, input: Record<string, unknown>, signal: AbortSignal): Promise<CallToolResult> {
    const { CallToolResultSchema } = await import('@modelcontextprotocol/sdk/types.js')
    const request = { method: 'tools/call', params: { name, arguments: input } } as const
    return await this.#use(
      (client) => client.request(request, CallToolResultSchema, limited(signal, callTimeoutMs)),
      signal,
    )
  }

  /** The message of a fault, without the values of `headers`, `env`, `args` and the query of `url`. */
  faultText(error: unknown): string {
    return faultText(error, this.#options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('The server is shutting down.'))
    await this.#current?.catch(() => {})
    await Promise.all([...this.#open].map(({ client }) => closeClient(client)))
  }

  /** Works with the client. A request that the server has not processed is sent once more, on a new connection. */
  async #use<Value>(work: (client: Client) => Promise<Value>, signal: AbortSignal): Promise<Value> {
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted()
      this.#closing.signal.throwIfAborted()
      const connected = await orAbort(this.#connected(), signal)
      connected.inFlight += 1
      try {
        return await orAbort(work(connected.client), signal)
      } catch (error) {
        signal.throwIfAborted()
        if (isConnectionLost(error)) this.#drop(connected)
        if (attempt > 1 || !isUnprocessed(error)) throw error
      } finally {
        connected.inFlight -= 1
        this.#closeIfUnused(connected)
      }
    }
  }

  #connected(): Promise<OpenConnection> {
    if (this.#current) return this.#current
    const current = this.#connect()
    current.catch(() => {
      if (this.#current === current) this.#current = undefined
    })
    this.#current = current
    return current
  }

  async #connect(): Promise<OpenConnection> {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
    const client = new Client({ name: 'theazo-server', version: '1' })
    const connected: OpenConnection = { client, inFlight: 0, isDropped: false }
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK has no other way
    client.onclose = () => this.#drop(connected)
    this.#open.add(connected)
    this.#latest = connected
    try {
      await client.connect(await openTransport(this.#options), limited(this.#closing.signal, answerTimeoutMs))
    } catch (error) {
      this.#drop(connected)
      await client.close().catch(() => {})
      throw error
    }
    // The server may have exited since its initialization.
    if (connected.isDropped) throw new Error('Connection closed')
    return connected
  }

  /** The next use connects anew. Other calls on this connection may still end well, so it closes after them. */
  #drop(connected: OpenConnection): void {
    if (connected.isDropped) return
    connected.isDropped = true
    if (this.#latest === connected) this.#current = undefined
    this.#closeIfUnused(connected)
  }

  #closeIfUnused(connected: OpenConnection): void {
    if (!connected.isDropped || connected.inFlight > 0) return
    this.#open.delete(connected)
    void closeClient(connected.client)
  }
}

/** A signal of its own for each request: the SDK leaves its listener on the signal. */
function limited(signal: AbortSignal, timeout: number): { signal: AbortSignal; timeout: number } {
  return { signal: AbortSignal.any([signal]), timeout }
}
