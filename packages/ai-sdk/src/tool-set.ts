import type {
  AgentData,
  AgentInput,
  CreateAgentInput,
  DefaultToolGroup,
  DeleteFileData,
  DeleteFileInput,
  EditFileData,
  EditFileInput,
  GetTaskData,
  GetUsageData,
  ListAgentsData,
  ListFilesData,
  ListFilesInput,
  ReadFileData,
  ReadFileInput,
  RunCodeInput,
  RunTaskInput,
  StartTaskInput,
  TaskIdInput,
  TaskRefData,
  ToolGroup,
  ToolName,
  ToolNames,
  WriteFileData,
  WriteFileInput,
} from '@theazo/core/tools'
import type { Tool } from 'ai'
import type { RunCodeOutput } from './running-code.ts'
import type { RunTaskOutput } from './running-task.ts'

/** The input of a tool without parameters. */
type NoInput = Record<string, never>

/**
 * All tools by name, exactly typed. It is a type alias because an interface is not assignable to the AI SDK's `ToolSet`.
 *
 * @example
 * ```ts
 * import { type TheazoToolSet, theazoTools } from '@theazo/ai-sdk'
 * import type { TypedToolCall } from 'ai'
 *
 * export const tools: TheazoToolSet = theazoTools({ userId: 'user_123', groups: 'all' })
 * export const nameOf = ({ toolName }: TypedToolCall<TheazoToolSet>): string => toolName
 * ```
 */
export type TheazoToolSet = {
  run_code: Tool<RunCodeInput, RunCodeOutput>
  read_file: Tool<ReadFileInput, ReadFileData>
  write_file: Tool<WriteFileInput, WriteFileData>
  edit_file: Tool<EditFileInput, EditFileData>
  list_files: Tool<ListFilesInput, ListFilesData>
  delete_file: Tool<DeleteFileInput, DeleteFileData>
  run_task: Tool<RunTaskInput, RunTaskOutput>
  start_task: Tool<StartTaskInput, TaskRefData>
  get_task: Tool<TaskIdInput, GetTaskData>
  cancel_task: Tool<TaskIdInput, TaskRefData>
  get_usage: Tool<NoInput, GetUsageData>
  get_agent: Tool<AgentInput, AgentData>
  pause_agent: Tool<AgentInput, AgentData>
  resume_agent: Tool<AgentInput, AgentData>
  terminate_agent: Tool<AgentInput, AgentData>
  create_agent: Tool<CreateAgentInput, AgentData>
  list_agents: Tool<NoInput, ListAgentsData>
}

/** Tools that change nothing. A test compares this list with the catalog's hints. */
export type ReadOnlyToolName = 'read_file' | 'list_files' | 'get_task' | 'get_usage' | 'get_agent' | 'list_agents'

/**
 * The tools that {@link theazoTools} returns for these options.
 *
 * @example
 * ```ts
 * import { type OfferedTools, theazoTools } from '@theazo/ai-sdk'
 *
 * export const tools: OfferedTools<{ groups: ['code'] }> = theazoTools({ userId: 'user_123', groups: ['code'] })
 * ```
 */
export type OfferedTools<Options> = Pick<TheazoToolSet, OfferedName<Options>>

type OfferedName<Options> = GroupedName<Options> & NamedName<Options> & AllowedName<Options>

type GroupedName<Options> = Options extends { groups: 'all' }
  ? ToolName
  : Options extends { groups: readonly (infer Group extends ToolGroup)[] }
    ? ToolNames[Group]
    : Options extends { only: readonly ToolName[] }
      ? ToolName
      : ToolNames[DefaultToolGroup]

type NamedName<Options> = Options extends { only: readonly (infer Name extends ToolName)[] } ? Name : ToolName

type AllowedName<Options> = Options extends { readOnly: true } ? ReadOnlyToolName : ToolName
