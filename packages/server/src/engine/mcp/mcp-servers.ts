import type { EngineTool } from '../engine-tool.ts'
import { McpConnection } from './mcp-connection.ts'
import type { McpServerOptions } from './mcp-options.ts'
import { mcpTool } from './mcp-tool.ts'

/** The tools of an MCP server; undefined if the server does not answer. */
interface ServerTools {
  server: string
  tools: EngineTool[] | undefined
}

/** The MCP servers of an operator, by their names. Agents have their tools as `mcp:<name>`. */
export class McpServers implements AsyncDisposable {
  readonly #connections: ReadonlyMap<string, McpConnection>
  readonly #onFault: (server: string, fault: string) => void

  /** @param onFault called if a server does not list its tools. */
  constructor(servers: ReadonlyMap<string, McpServerOptions>, onFault: (server: string, fault: string) => void) {
    this.#connections = new Map(Array.from(servers, ([name, options]) => [name, new McpConnection(options)] as const))
    this.#onFault = onFault
  }

  /** The names by which agents have the servers' tools. */
  get groups(): string[] {
    return Array.from(this.#connections.keys(), groupOf)
  }

  /** Asks these servers for their tools. Names of other tools are ignored. @throws the signal's reason. */
  async open(groups: readonly string[], signal: AbortSignal): Promise<ServerTools[]> {
    const wanted = Array.from(this.#connections).filter(([name]) => groups.includes(groupOf(name)))
    return await Promise.all(wanted.map(([name, connection]) => this.#toolsOf(name, connection, signal)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#connections.values(), (connection) => connection[Symbol.asyncDispose]()))
  }

  async #toolsOf(server: string, connection: McpConnection, signal: AbortSignal): Promise<ServerTools> {
    try {
      const tools = await connection.tools(signal)
      return { server, tools: tools.map((tool) => mcpTool(connection, tool, server, groupOf(server))) }
    } catch (error) {
      signal.throwIfAborted()
      this.#onFault(server, connection.faultText(error))
      return { server, tools: undefined }
    }
  }
}

function groupOf(server: string): string {
  return `mcp:${server}`
}
