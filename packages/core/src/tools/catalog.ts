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

/** Any tool of the catalog; each has its own input and data, which a caller of all of them cannot know. */
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

/** A set of tools that go together. */
export type ToolGroup = keyof ToolNames

/** The name of any tool of the catalog. */
export type ToolName = ToolNames[ToolGroup]

/** The groups that are offered if a caller names none: every declared tool costs tokens and time at each model call. */
export type DefaultToolGroup = 'code' | 'files'

const defaultGroups: readonly ToolGroup[] = ['code', 'files'] satisfies DefaultToolGroup[]

/** The tools of each group, in the catalog's order. */
export const toolGroups: Readonly<Record<ToolGroup, readonly AnyTool[]>> = {
  code: [runCode],
  files: [readFile, writeFile, editFile, listFiles, deleteFile],
  task: [runTask],
  'background-tasks': [startTask, getTask, cancelTask],
  usage: [getUsage],
  lifecycle: [getAgent, pauseAgent, resumeAgent, terminateAgent, createAgent, listAgents],
}

/** Which tools are offered. */
export interface SelectToolsOptions {
  /** Default `['code', 'files']`; with `only`, all. */
  groups?: readonly ToolGroup[] | 'all' | undefined
  /** Of these groups only the tools of these names. Default: all of them. */
  only?: readonly ToolName[] | undefined
  /** Of these only the tools that change nothing. Default false. */
  readOnly?: boolean | undefined
}

/**
 * The tools of some groups, in the catalog's order.
 *
 * @throws {ConfigurationError} for a group or a name that the catalog does not have.
 * @example
 * ```ts
 * const tools = selectTools({ groups: ['code', 'usage'] })
 * ```
 */
export function selectTools({ groups, only, readOnly = false }: SelectToolsOptions = {}): AnyTool[] {
  const allGroups = Object.keys(toolGroups) as ToolGroup[] // its own keys
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
