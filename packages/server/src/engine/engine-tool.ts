import type { ToolImage, ToolSandbox } from '@theazo/core/tools'

/** Maximum tools of an agent: OpenAI refuses a request with more. */
export const maxTools = 128

/** A tool that the agents of this server may have. */
export interface EngineTool {
  readonly name: string
  /** The name in an agent's `tools` and `approvals` if it is not the tool's own, e.g. `mcp:files`. */
  readonly group?: string
  readonly description: string
  /** The JSON Schema of the input. */
  readonly inputSchema: object
  /** True if the tool changes nothing: calls of such tools may run side by side. */
  readonly isReadOnly: boolean
  /** True if the tool works in the agent's sandbox. Default false. */
  readonly usesSandbox?: boolean
  /** Why a call with this input cannot be made, for the model; undefined if it can. Absent: only {@link run} knows. */
  readonly inputFault?: (input: unknown) => string | undefined
  /** Runs the tool. @throws {ApiError} a fault that becomes the result; the signal's reason after an abort. */
  readonly run: (input: unknown, context: ToolRunContext) => Promise<ToolOutcome>
}

/** The agent's sandbox, and the call. */
export interface ToolRunContext {
  sandbox: ToolSandbox
  /** The agent's `network.allow`; undefined if it has none. */
  allow: readonly string[] | undefined
  callId: string
  signal: AbortSignal
  /** Receives the output of the call's code while it runs. */
  onOutput?: ((stream: 'stdout' | 'stderr', text: string) => unknown) | undefined
  /** Why images must not be in results; undefined if the model accepts them. */
  imagesOff: string | undefined
}

/** The result of a tool, for the model. */
export interface ToolOutcome {
  output: unknown
  images?: ToolImage[]
  isError: boolean
  isInvalid?: boolean
}
