/**
 * The tool catalog: what a model may do with a sandbox, told once for every framework.
 *
 * @module
 */
export {
  defineTool,
  type Tool,
  type ToolCallOptions,
  type ToolContext,
  type ToolDefinition,
  type ToolHints,
  type ToolResult,
} from './define-tool.ts'
export { runCode, type RunCodeData, type RunCodeInput } from './run-code.ts'
export type { SandboxSource, ToolSandbox } from './tool-sandbox.ts'
