import { type SelectToolsOptions, selectTools, toolSource, type ToolSourceOptions } from '@theazo/core/tools'
import { TheazoTool } from './theazo-tool.ts'

/** Where the tools work, and which of the catalog are offered. */
export interface TheazoToolsOptions extends ToolSourceOptions, SelectToolsOptions {
  /**
   * True: images are shown to the model as content blocks of the tool's message. False: they are only named. Default: shown
   * if the model that made the call is known to take images from tools (Anthropic, OpenAI's Responses API), as its last
   * message in the graph's state says; the Chat Completions API refuses a tool message with an image.
   */
  images?: boolean | undefined
}

/**
 * The Theazo tools for LangChain's agents, LangGraph's `ToolNode` and `model.bindTools`.
 *
 * The content of a result is text for the model, with images as blocks beside it; its artifact is the typed data (plain
 * JSON, no images). A fault of the API becomes a `ToolMessage` with status `error`, so that the model can react; an abort
 * rejects.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given, or a tool is unknown.
 * @example
 * ```ts
 * const assistant = createAgent({ model, tools: theazoTools({ userId: 'user_123' }) })
 * ```
 */
export function theazoTools(options: TheazoToolsOptions = {}): TheazoTool[] {
  const source = toolSource(options)
  return selectTools(options).map((tool) => new TheazoTool(tool, source, options.images))
}
