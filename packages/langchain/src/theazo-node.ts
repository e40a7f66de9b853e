import { type AIMessage, HumanMessage, isBaseMessage, type ToolMessage } from '@langchain/core/messages'
import type { ToolRunnableConfig } from '@langchain/core/tools'
import {
  configurationError,
  isBlank,
  modelText,
  runTask,
  type RunTaskData,
  ToolSources,
  type ToolSourcesOptions,
} from '@theazo/core/tools'
import { messageIdOf, taskMessage } from './child-runs.ts'
import { TheazoTool } from './theazo-tool.ts'
import type { TheazoToolOptions } from './theazo-tool-options.ts'

/** Options of {@link createTheazoNode}: the sandbox (as for `theazoTools`), the task, and the update of the state. */
export interface TheazoNodeOptions<State, Update>
  extends Omit<ToolSourcesOptions<ToolRunnableConfig>, 'onDispose'>, Pick<TheazoToolOptions, 'childRuns'> {
  /** Returns the task. Default: the text of the last human message in `state.messages`. */
  task?: ((state: State) => string) | undefined
  /** Returns the update of the state. Default: `{ messages: [message] }`. */
  update?: ((result: TheazoNodeResult, state: State) => Update) | undefined
  /** Seconds until the task is cancelled: 1 to 3,600. Default 600. */
  timeoutSeconds?: number | undefined
}

/** The result of a task, for the state of a graph. */
export interface TheazoNodeResult extends RunTaskData {
  /** The answer as a message, with the tokens as `usage_metadata` and the cost in `response_metadata`. */
  message: AIMessage
}

/**
 * Creates a LangGraph node that gives the task of the state to the remote agent and writes its answer back. The agent's
 * work streams as that of the tool `run_task`. An abort of the graph cancels the task.
 *
 * The node throws a {@link TheazoError} if the task fails, and a {@link ConfigurationError} if the state has no task.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session`, `userId` and `sandbox` is given, or for an
 *   invalid `timeoutSeconds`.
 * @example
 * ```ts
 * import { MessagesAnnotation, StateGraph } from '@langchain/langgraph'
 * import { createTheazoNode } from '@theazo/langchain'
 *
 * const graph = new StateGraph(MessagesAnnotation)
 *   .addNode('worker', createTheazoNode({ userId: 'user_123' }))
 *   .addEdge('__start__', 'worker')
 *   .compile()
 * const { messages } = await graph.invoke({ messages: [{ role: 'user', content: 'Summarise /workspace/report.csv' }] })
 * console.log(messages.at(-1)?.text)
 * ```
 */
export function createTheazoNode<State = unknown, Update = { messages: AIMessage[] }>(
  options: TheazoNodeOptions<State, Update> = {},
): (state: State, config?: ToolRunnableConfig) => Promise<Update> {
  const { task: taskOf = lastHumanText, update, timeoutSeconds, childRuns } = options
  assertTimeout(timeoutSeconds)
  const tool = new TheazoTool(runTask, new ToolSources(options), { childRuns, onError: 'throw' })
  return async (state, config) => {
    const id = crypto.randomUUID()
    const args = { task: checkedTask(taskOf(state)), timeoutSeconds: timeoutSeconds ?? null }
    const toolCall = { type: 'tool_call' as const, id, name: tool.name, args }
    const { artifact } = (await tool.invoke(toolCall, config)) as ToolMessage // a tool call returns a tool message
    const data = artifact as RunTaskData // the artifact of run_task
    const message = taskMessage(messageIdOf(id), modelText(data.output, '(no answer)'), data)
    return update ? update({ ...data, message }, state) : ({ messages: [message] } as Update) // Update has this default
  }
}

function assertTimeout(seconds: number | undefined): void {
  if (seconds === undefined || (Number.isInteger(seconds) && seconds >= 1 && seconds <= 3600)) return
  throw configurationError(`timeoutSeconds must be a whole number from 1 to 3600, not ${String(seconds)}.`)
}

function checkedTask(task: unknown): string {
  if (typeof task === 'string' && !isBlank(task)) return task
  throw configurationError('The task must be text that is not blank. Check the option task, or the last human message.')
}

function lastHumanText(state: unknown): string {
  const messages = typeof state === 'object' && state !== null && 'messages' in state ? state.messages : undefined
  const last = Array.isArray(messages)
    ? messages.filter((message) => isBaseMessage(message)).findLast((message) => HumanMessage.isInstance(message))
    : undefined
  if (last) return last.text
  throw configurationError('The state has no human message (a HumanMessage in messages). Give the option task.')
}
