import type { ExecResult, Language } from '@theazo/core'
import { runCode, type RunCodeInput, type ToolSandbox } from '@theazo/core/tools'
import { ApiError } from '../errors.ts'
import type { Mode } from '../store/tables.ts'
import type { ToolCall, ToolStep } from './model.ts'

/** Tools for the tasks of agents on this server. */
export const builtInTools: readonly string[] = [runCode.name]

/** Further tools for test keys, with mocked results. */
export const mockedTools: readonly string[] = [
  'web_search',
  'http_request',
  'read_file',
  'write_file',
  'edit_file',
  'list_files',
  'delete_file',
]

/** The agent whose sandbox runs a tool. */
export interface ToolAgent {
  id: string
  mode: Mode
  exec: (lang: Language, code: string, signal: AbortSignal) => Promise<ExecResult>
}

/** Runs one tool call. The model receives its errors as results. @throws the signal's reason, or a fault of the server. */
export async function callTool(call: ToolCall, agent: ToolAgent, signal: AbortSignal): Promise<ToolStep> {
  const startedAt = performance.now()
  const { output, isError } = await outcomeOf(call, agent, signal)
  return {
    kind: 'tool',
    id: call.id,
    tool: call.tool,
    output,
    isError,
    durationMs: Math.round(performance.now() - startedAt),
  }
}

async function outcomeOf(
  { id: callId, tool, input }: ToolCall,
  { id, mode, exec }: ToolAgent,
  signal: AbortSignal,
): Promise<{ output: unknown; isError: boolean }> {
  if (tool === runCode.name) {
    const sandbox: ToolSandbox = { id, exec: (lang, code, options) => exec(lang, code, options?.signal ?? signal) }
    try {
      const { text, isError } = await runCode.run(input as RunCodeInput, { sandbox, signal, callId }) // runCode validates its input
      return { output: text, isError }
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError)) throw error
      return { output: `${error.code}: ${error.message}`, isError: true }
    }
  }
  if (mode === 'test') return { output: `Mocked result of ${tool}.`, isError: false }
  return { output: `There is no tool ${tool} on this server.`, isError: true }
}
