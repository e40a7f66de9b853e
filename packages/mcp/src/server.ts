import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { runCode, type SandboxSource, type Tool, withoutPictures } from '@theazo/core/tools'
import { version } from './version.ts'

/** What the server works on. */
export interface TheazoMcpServerOptions {
  /** The sandbox that calls run in, or a function that gives it. */
  sandbox: SandboxSource
}

const instructions =
  'run_code runs Python, TypeScript or Bash in a sandbox of this conversation. Files in /workspace last until it ends.'

/**
 * An MCP server with the Theazo tools: today `run_code`. Connect it to a transport.
 *
 * @example
 * ```ts
 * const server = createTheazoMcpServer({ sandbox: agent })
 * await server.connect(new StdioServerTransport())
 * ```
 */
export function createTheazoMcpServer({ sandbox }: TheazoMcpServerOptions): McpServer {
  const server = new McpServer({ name: 'theazo', title: 'Theazo', version }, { instructions })
  register(server, runCode, sandbox)
  return server
}

/** The one place where the catalog meets the SDK's version 1. */
function register<Input, Data extends object>(
  server: McpServer,
  { name, title, description, input, output, hints, run }: Tool<string, Input, Data>,
  sandbox: SandboxSource,
): void {
  const annotations = {
    readOnlyHint: hints.readOnly,
    destructiveHint: hints.destructive,
    idempotentHint: hints.idempotent,
    openWorldHint: hints.openWorld,
  }
  server.registerTool(
    name,
    { title, description, inputSchema: input, outputSchema: output, annotations },
    async (args: Input, { signal }: { signal: AbortSignal }) => {
      const result = await run(args, { sandbox, signal })
      // The text is what models read, in every client; a program finds the same in structuredContent.
      const text = { type: 'text' as const, text: result.text }
      if (result.isError) return { content: [text], isError: true }
      const pictures = result.images.map(({ mediaType, base64 }) => {
        return { type: 'image' as const, mimeType: mediaType, data: base64 }
      })
      return { content: [text, ...pictures], structuredContent: { ...withoutPictures(result.data) } }
    },
  )
}
