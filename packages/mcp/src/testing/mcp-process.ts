import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import type { RequestOptions } from '@modelcontextprotocol/sdk/shared/protocol.js'
import { type CallToolResult, CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'

/** The program, as it is built. */
export const bin: string = fileURLToPath(new URL('../../dist/bin.js', import.meta.url))

/** A client of a server, with what tests ask of it. */
export interface TestClient extends AsyncDisposable {
  client: Client
  /** Calls a tool and validates its result by the tool's output schema, as the SDK's client does. */
  call: (name: string, input?: Record<string, unknown>, options?: RequestOptions) => Promise<CallToolResult>
  /** The text of a result of `run_code` with Bash. */
  bash: (code: string) => Promise<string>
}

/** A client of a process of its own. */
export interface McpProcess extends TestClient {
  pid: number
  /** What it has written to standard error. */
  stderr: () => string
}

/** Starts the real process, as a client starts it; it ends with the test. */
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

/** Adds to a connected client what tests ask of it. */
export async function testClient(client: Client): Promise<TestClient> {
  await client.listTools() // the client validates results only after it
  const call: TestClient['call'] = async (name, input = {}, options) =>
    CallToolResultSchema.parse(await client.callTool({ name, arguments: input }, undefined, options))
  return {
    client,
    call,
    bash: async (code) => textOf(await call('run_code', { language: 'bash', code })),
    [Symbol.asyncDispose]: () => client.close(),
  }
}

/** The text block of a result: the first. */
export function textOf({ content }: CallToolResult): string {
  const [first] = content
  if (first?.type !== 'text') throw new Error(`The first block is ${JSON.stringify(first)}`)
  return first.text
}

/** The agent that a result names. */
export function agentIdOf({ structuredContent }: CallToolResult): string {
  return String(structuredContent?.['agentId'])
}
