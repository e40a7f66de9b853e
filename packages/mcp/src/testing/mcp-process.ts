import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import type { RequestOptions } from '@modelcontextprotocol/sdk/shared/protocol.js'
import { type CallToolResult, CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'

/** Path of the built program. */
export const bin: string = fileURLToPath(new URL('../../dist/bin.js', import.meta.url))

/** A connected MCP client with shortcuts for tests. */
export interface TestClient extends AsyncDisposable {
  client: Client
  /** Calls a tool and validates its result by the tool's output schema, as the SDK's client does. */
  call: (name: string, input?: Record<string, unknown>, options?: RequestOptions) => Promise<CallToolResult>
  /** Runs Bash code with `run_code` and returns the text of the result. */
  bash: (code: string) => Promise<string>
}

/** A client of a `theazo-mcp` process that it started. */
export interface McpProcess extends TestClient {
  pid: number
  /** The output on standard error so far. */
  stderr: () => string
}

/** Starts the real process as an MCP client does. Disposing the client ends the process. */
export async function startProcess(
  args: readonly string[],
  env: Record<string, string> = {},
  command: readonly string[] = [process.execPath, bin],
): Promise<McpProcess> {
  const client = new Client({ name: 'test', version: '0' })
  const [program = '', ...before] = command
  const transport = new StdioClientTransport({ command: program, args: [...before, ...args], env, stderr: 'pipe' })
  let stderr = ''
  transport.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  await client.connect(transport).catch((error: unknown) => {
    throw new Error(`The process did not start: ${stderr}`, { cause: error })
  })
  return { ...(await testClient(client)), pid: transport.pid ?? 0, stderr: () => stderr }
}

/** Adds the shortcuts for tests to a connected client. */
export async function testClient(client: Client): Promise<TestClient> {
  await client.listTools() // the client validates results only after this request
  const call: TestClient['call'] = async (name, input = {}, options) =>
    CallToolResultSchema.parse(await client.callTool({ name, arguments: input }, undefined, options))
  return {
    client,
    call,
    bash: async (code) => textOf(await call('run_code', { language: 'bash', code })),
    [Symbol.asyncDispose]: () => client.close(),
  }
}

/** The text of a result: its first content block. */
export function textOf({ content }: CallToolResult): string {
  const [first] = content
  if (first?.type !== 'text') throw new Error(`The first block is ${JSON.stringify(first)}`)
  return first.text
}

/** The agent id in a result's data. */
export function agentIdOf({ structuredContent }: CallToolResult): string {
  return String(structuredContent?.['agentId'])
}
