import { type SelectToolsOptions, selectTools, toolSource, type ToolSourceOptions } from '@theazo/core/tools'
import { TheazoTool } from './theazo-tool.ts'

/** The sandbox of the tools (exactly one of `userId`, `session` and `agent`), and the tools of the catalog to offer. */
export interface TheazoToolsOptions extends ToolSourceOptions, SelectToolsOptions {
  /**
   * True: the model receives images as content blocks of the tool message. False: the text only names them. Default: true
   * if the model is known to accept images from tools (Anthropic, OpenAI's Responses API), else false. The model's last
   * message in the graph's state identifies it. The Chat Completions API refuses a tool message with an image.
   */
  images?: boolean | undefined
}

/**
 * Creates the Theazo tools for LangChain's agents, LangGraph's `ToolNode` and `model.bindTools`.
 *
 * The content of a result is text for the model, followed by image blocks. The artifact is the data (plain JSON, no
 * images). An API error becomes a `ToolMessage` with status `error`, so that the model can react. An abort rejects the
 * call.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given, or a tool is unknown.
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
  const source = toolSource(options)
  return selectTools(options).map((tool) => new TheazoTool(tool, source, options.images))
}
