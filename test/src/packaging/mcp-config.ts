import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

interface McpConfig {
  mcpServers?: Record<string, { command: string; args?: string[]; env?: Record<string, string> }>
}

/** Several READMEs show the same configuration. */
const started = new Set<string>()

/** Starts each server of an MCP client's configuration as the client does, and lists its tools. */
export async function startMcpServers(
  { mcpServers = {} }: McpConfig,
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<void> {
  const text = JSON.stringify(mcpServers)
  if (started.has(text)) return
  started.add(text)
  const { PATH = '', HOME = '' } = env // the SDK's client passes these on
  for (const [name, { command, args = [], env: own }] of Object.entries(mcpServers)) {
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
