import { configurationError } from '../errors.ts'
import { cancelTask, getTask, startTask } from './background-tasks.ts'
import type { Tool } from './define-tool.ts'
import { deleteFile } from './delete-file.ts'
import { editFile } from './edit-file.ts'
import { getUsage } from './get-usage.ts'
import { createAgent, getAgent, listAgents, pauseAgent, resumeAgent, terminateAgent } from './lifecycle.ts'
import { listFiles } from './list-files.ts'
import { readFile } from './read-file.ts'
import { runCode } from './run-code.ts'
import { runTask } from './run-task.ts'
import { writeFile } from './write-file.ts'

/** Any tool of the catalog. Each has its own types of input and data, which generic code cannot know. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyTool = Tool<string, any, any>

/** The names of the tools of each group. */
export interface ToolNames {
  code: 'run_code'
  files: 'read_file' | 'write_file' | 'edit_file' | 'list_files' | 'delete_file'
  task: 'run_task'
  'background-tasks': 'start_task' | 'get_task' | 'cancel_task'
  usage: 'get_usage'
  lifecycle: 'get_agent' | 'pause_agent' | 'resume_agent' | 'terminate_agent' | 'create_agent' | 'list_agents'
}

/** The name of a group of related tools. */
export type ToolGroup = keyof ToolNames

/** The name of any tool of the catalog. */
export type ToolName = ToolNames[ToolGroup]

/** Every tool of the catalog, by its name. */
interface ToolsByName {
  run_code: typeof runCode
  read_file: typeof readFile
  write_file: typeof writeFile
  edit_file: typeof editFile
  list_files: typeof listFiles
  delete_file: typeof deleteFile
  run_task: typeof runTask
  start_task: typeof startTask
  get_task: typeof getTask
  cancel_task: typeof cancelTask
  get_usage: typeof getUsage
  get_agent: typeof getAgent
  pause_agent: typeof pauseAgent
  resume_agent: typeof resumeAgent
  terminate_agent: typeof terminateAgent
  create_agent: typeof createAgent
  list_agents: typeof listAgents
}

/** The type of a tool's input. */
export type ToolInputOf<Name extends ToolName> = Parameters<ToolsByName[Name]['run']>[0]

/** The type of a tool's data. */
export type ToolDataOf<Name extends ToolName> = Extract<
  Awaited<ReturnType<ToolsByName[Name]['run']>>,
  { isError: false }
>['data']

/** The groups that are selected by default. They are few, because each tool costs tokens and time in every model call. */
export type DefaultToolGroup = 'code' | 'files'

const defaultGroups: readonly ToolGroup[] = ['code', 'files'] satisfies DefaultToolGroup[]

/**
 * The tools of each group, in the catalog's order.
 *
 * @example
 * ```ts
 * import { toolGroups } from '@theazo/core/tools'
 *
 * const names = toolGroups.files.map(({ name }) => name)
 * ```
 */
export const toolGroups: Readonly<Record<ToolGroup, readonly AnyTool[]>> = {
  code: [runCode],
  files: [readFile, writeFile, editFile, listFiles, deleteFile],
  task: [runTask],
  'background-tasks': [startTask, getTask, cancelTask],
  usage: [getUsage],
  lifecycle: [getAgent, pauseAgent, resumeAgent, terminateAgent, createAgent, listAgents],
}

/** Options of {@link selectTools}. Only the tools that meet all of them are selected. */
export interface SelectToolsOptions {
  /** Select these groups. Default `['code', 'files']`; if `only` is given, all groups. */
  groups?: readonly ToolGroup[] | 'all' | undefined
  /** Select only tools of these names. Default: all names. */
  only?: readonly ToolName[] | undefined
  /** Select only tools that change nothing. Default false. */
  readOnly?: boolean | undefined
}

/**
 * Selects tools of the catalog, in its order.
 *
 * @throws {ConfigurationError} for an unknown group or an unknown name.
 * @example
 * ```ts
 * import { selectTools } from '@theazo/core/tools'
 *
 * const tools = selectTools({ groups: ['code', 'usage'] })
 * ```
 */
export function selectTools({ groups, only, readOnly = false }: SelectToolsOptions = {}): AnyTool[] {
  const allGroups = Object.keys(toolGroups) as ToolGroup[] // Object.keys loses the type of the keys
  const wanted = groups === 'all' || (groups === undefined && only) ? allGroups : (groups ?? defaultGroups)
  assertKnown('groups', wanted, allGroups)
  const tools = allGroups.filter((group) => wanted.includes(group)).flatMap((group) => toolGroups[group])
  if (only) {
    const all = allGroups.flatMap((group) => toolGroups[group])
    assertKnown(
      'only',
      only,
      all.map(({ name }) => name),
    )
  }
  return tools.filter(({ name, hints }) => {
    return (only?.includes(name as ToolName) ?? true) && (!readOnly || hints.readOnly)
  })
}

function assertKnown(option: string, given: readonly string[], known: readonly string[]): void {
  if (!Array.isArray(given)) {
    const message = `${option} must be a list of names${option === 'groups' ? " or 'all'" : ''}, not ${JSON.stringify(given)}.`
    throw configurationError(message)
  }
  const unknown = given.filter((name) => !known.includes(name))
  if (unknown.length === 0) return
  const message = `${option}: there is no ${unknown.map((name) => `'${name}'`).join(', ')}; there are ${known.join(', ')}.`
  throw configurationError(message)
}
