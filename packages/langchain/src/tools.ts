import type { ToolRunnableConfig } from '@langchain/core/tools'
import {
  prefixTools,
  type SelectToolsOptions,
  selectTools,
  ToolSources,
  type ToolSourcesOptions,
} from '@theazo/core/tools'
import { TheazoTool } from './theazo-tool.ts'
import type { TheazoToolOptions } from './theazo-tool-options.ts'

/**
 * The sandbox of the tools (exactly one of `userId`, `session`, `agent` and `sandbox`), and the tools of the catalog to
 * offer.
 */
export interface TheazoToolsOptions
  extends Omit<ToolSourcesOptions<ToolRunnableConfig>, 'onDispose'>, SelectToolsOptions, TheazoToolOptions {
  /** Text before the name of each tool, at most 40 letters, digits, `_` and `-`. Default: none. */
  prefix?: string | undefined
}

/**
 * Creates the Theazo tools for LangChain's agents, LangGraph's `ToolNode` and `model.bindTools`.
 *
 * The content of a result is text for the model, followed by image blocks. The artifact is the data (plain JSON, no
 * images). An API error becomes a `ToolMessage` with status `error`, so that the model can react. An abort rejects the
 * call.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session`, `userId` and `sandbox` is given, or a tool is
 *   unknown.
 * @example
 * ```ts
 * import { theazoTools } from '@theazo/langchain'
 * import { createAgent } from 'langchain'
 *
 * const tools = theazoTools({ userId: 'user_123' })
 * const assistant = createAgent({ model: 'anthropic:claude-sonnet-5-5', tools })
 * const { messages } = await assistant.invoke({ messages: 'Compute the 1,000th prime number.' })
 * console.log(messages.at(-1)?.text)
 * ```
 */
export function theazoTools(options: TheazoToolsOptions = {}): TheazoTool[] {
  return toolsOf(new ToolSources(options), options)
}

/** The selected tools, all with the same source of sandboxes. */
export function toolsOf(sources: ToolSources<ToolRunnableConfig>, options: TheazoToolsOptions): TheazoTool[] {
  const tools = prefixTools(selectTools(options), options.prefix ?? '')
  return tools.map((tool) => new TheazoTool(tool, sources, options))
}
