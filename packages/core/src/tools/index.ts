/**
 * The tool catalog: what a model may do with a sandbox, told once for every framework.
 *
 * @module
 */
export {
  cancelTask,
  getTask,
  startTask,
  type GetTaskData,
  type StartTaskInput,
  type TaskIdInput,
  type TaskRefData,
} from './background-tasks.ts'
export { selectTools, toolGroups, type AnyTool, type SelectToolsOptions, type ToolGroup } from './catalog.ts'
export {
  defineTool,
  ToolInputError,
  type Tool,
  type ToolCallOptions,
  type ToolContext,
  type ToolDefinition,
  type ToolHints,
  type ToolImage,
  type ToolProgress,
  type ToolResult,
} from './define-tool.ts'
export { deleteFile, type DeleteFileData, type DeleteFileInput } from './delete-file.ts'
export { editFile, type EditFileData, type EditFileInput } from './edit-file.ts'
export { withoutPictures, type Pictures } from './files-of.ts'
export { getUsage, type GetUsageData } from './get-usage.ts'
export {
  createAgent,
  getAgent,
  listAgents,
  pauseAgent,
  resumeAgent,
  terminateAgent,
  type AgentData,
  type CreateAgentInput,
  type ListAgentsData,
} from './lifecycle.ts'
export { listFiles, type ListFilesData, type ListFilesInput } from './list-files.ts'
export { readFile, type ReadFileData, type ReadFileInput } from './read-file.ts'
export { runCode, type RunCodeData, type RunCodeInput } from './run-code.ts'
export { runTask, type RunTaskData, type RunTaskInput } from './run-task.ts'
export type { SandboxSource, ToolAccount, ToolSandbox } from './tool-sandbox.ts'
export { writeFile, type WriteFileData, type WriteFileInput } from './write-file.ts'
