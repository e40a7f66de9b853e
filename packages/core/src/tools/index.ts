/**
 * The tool catalog: the tools by which a model uses a sandbox, defined once for every framework.
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
export {
  selectTools,
  toolGroups,
  type AnyTool,
  type DefaultToolGroup,
  type SelectToolsOptions,
  type ToolDataOf,
  type ToolGroup,
  type ToolInputOf,
  type ToolName,
  type ToolNames,
} from './catalog.ts'
export {
  defineTool,
  type Tool,
  type ToolCallOptions,
  type ToolContext,
  type ToolDefinition,
  type ToolHints,
  type ToolEvent,
  type ToolProgress,
  type ToolResult,
} from './define-tool.ts'
export { configurationError } from '../errors.ts'
export { filesOf } from './files-of.ts'
export { deleteFile, type DeleteFileData, type DeleteFileInput } from './delete-file.ts'
export { editFile, type EditFileData, type EditFileInput } from './edit-file.ts'
export { getUsage, type GetUsageData } from './get-usage.ts'
export {
  createAgent,
  getAgent,
  listAgents,
  pauseAgent,
  resumeAgent,
  terminateAgent,
  type AgentData,
  type AgentInput,
  type CreateAgentInput,
  type ListAgentsData,
} from './lifecycle.ts'
export { listFiles, type ListFilesData, type ListFilesInput } from './list-files.ts'
export { isBlank, modelText, outputText, truncate } from './model-text.ts'
export { readFile, type ReadFileData, type ReadFileInput } from './read-file.ts'
export { runCode, type RunCodeData, type RunCodeInput } from './run-code.ts'
export { costText, runTask, type RunTaskData, type RunTaskInput } from './run-task.ts'
export {
  hiddenImagesText,
  toolImages,
  unknownModel,
  withoutImages,
  type HiddenImage,
  type ToolImage,
  type ToolImages,
} from './tool-images.ts'
export { inputSchemaOf, parseToolInput, type ToolInputSchema, type ToolInputSchemaProperty } from './tool-input.ts'
export { ToolInputError } from './tool-input-error.ts'
export type { OnDispose } from './tool-pool.ts'
export { prefixTools } from './prefix-tools.ts'
export {
  type SandboxKey,
  toolSource,
  type ToolSource,
  type ToolSourceOptions,
  ToolSources,
  type ToolSourcesOptions,
} from './tool-source.ts'
export type {
  AccountSource,
  DescribedSandbox,
  SandboxCallOptions,
  SandboxSource,
  ToolAccount,
  ToolSandbox,
} from './tool-sandbox.ts'
export { writeFile, type WriteFileData, type WriteFileInput } from './write-file.ts'
