import { fileURLToPath } from 'node:url'
import { StdioClientTransport as StdioClientTransportV2 } from '@modelcontextprotocol/client/stdio'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { connectClientV1, connectClientV2, type TestClient } from './test-client.ts'

/** Path of the built program. */
export const bin: string = fileURLToPath(new URL('../../dist/bin.js', import.meta.url))

/** A client of a `theazo-mcp` process that it started. */
export interface McpProcess extends TestClient {
  pid: number
  /** The output on standard error so far. */
  stderr: () => string
}

/** Starts the real process as an MCP client does. Disposing the client ends the process. */
export type StartProcess = (
  args: readonly string[],
  env?: Record<string, string>,
  command?: readonly string[],
) => Promise<McpProcess>

/** Starts the process with the client of version 1 of the SDK. */
export const startProcess: StartProcess = async (args, env = {}, command = [process.execPath, bin]) => {
  const [program = '', ...before] = command
  const transport = new StdioClientTransport({ command: program, args: [...before, ...args], env, stderr: 'pipe' })
  return await startedProcess(transport, () => connectClientV1((client) => client.connect(transport)))
}

/** Starts the process with the client of version 2 of the SDK, which speaks protocol 2026-07-28. */
export const startProcessV2: StartProcess = async (args, env = {}, command = [process.execPath, bin]) => {
  const [program = '', ...before] = command
  const transport = new StdioClientTransportV2({ command: program, args: [...before, ...args], env, stderr: 'pipe' })
  return await startedProcess(transport, () => connectClientV2((client) => client.connect(transport), 'modern'))
}

async function startedProcess(
  transport: StdioClientTransport | StdioClientTransportV2,
  connect: () => Promise<TestClient>,
): Promise<McpProcess> {
  let stderr = ''
  transport.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const client = await connect().catch((error: unknown) => {
    throw new Error(`The process did not start: ${stderr}`, { cause: error })
  })
  return { ...client, pid: transport.pid ?? 0, stderr: () => stderr }
}
