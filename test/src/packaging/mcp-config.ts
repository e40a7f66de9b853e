import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

interface McpServerEntry {
  command?: string
  args?: string[]
  env?: Record<string, string>
  /** A server that runs already. */
  url?: string
  headers?: Record<string, string>
}

/** Claude Desktop, Claude Code and Cursor use `mcpServers`, VS Code `servers`. */
interface McpConfig {
  mcpServers?: Record<string, McpServerEntry>
  servers?: Record<string, McpServerEntry>
}

/** Several READMEs show the same configuration. */
const started = new Set<string>()

/**
 * Starts each server of an MCP client's configuration as the client does, and lists its tools. Of a server that should run
 * already, it checks the URL and the header.
 */
export async function startMcpServers(
  { mcpServers, servers = mcpServers }: McpConfig,
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<void> {
  if (!servers) throw new Error('the configuration has no servers')
  const text = JSON.stringify(servers)
  if (started.has(text)) return
  started.add(text)
  const { PATH = '', HOME = '' } = env // the SDK's client passes these on
  // VS Code asks its user for an input; nothing calls the API with it here.
  const typed = JSON.parse(text.replaceAll(/\$\{input:[\w-]+\}/g, 'th_live_typed')) as typeof servers
  for (const [name, { command, args = [], env: own, url, headers }] of Object.entries(typed)) {
    if (command === undefined) {
      const isValid =
        url !== undefined && new URL(url).pathname === '/mcp' && /^Bearer \S+$/.test(headers?.['Authorization'] ?? '')
      if (!isValid) throw new Error(`the server ${name} has neither a command nor a URL with a token`)
      continue
    }
    const client = new Client({ name: 'readme', version: '0.0.0' })
    await client.connect(
      new StdioClientTransport({ command, args, cwd, env: { PATH, HOME, ...own }, stderr: 'ignore' }),
    )
    try {
      const { tools } = await client.listTools()
      if (tools.length === 0) throw new Error(`the MCP server ${name} has no tools`)
    } finally {
      await client.close()
    }
  }
}
