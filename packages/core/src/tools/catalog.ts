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

/** What tools are chosen by. */
export type ToolGroup = 'code' | 'files' | 'task' | 'background-tasks' | 'usage' | 'lifecycle'

/**
 * The tools by what they are for. Every declared tool costs tokens and time at each call of a model, so few are offered
 * by default: `code`.
 */
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
  /** Default `['code']`. */
  groups?: readonly ToolGroup[] | undefined
  /** Of these groups only those that change nothing. Default false. */
  isReadOnly?: boolean | undefined
}

/**
 * The tools of some groups, in the catalog's order.
 *
 * @example
 * ```ts
 * const tools = selectTools({ groups: ['code', 'files'] })
 * ```
 */
export function selectTools({ groups = ['code'], isReadOnly = false }: SelectToolsOptions = {}): AnyTool[] {
  const names = Object.keys(toolGroups) as ToolGroup[] // its own keys, in their order
  const tools = names.filter((name) => groups.includes(name)).flatMap((name) => toolGroups[name])
  return isReadOnly ? tools.filter(({ hints }) => hints.readOnly) : tools
}
