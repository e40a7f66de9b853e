import { BaseToolkit, type ToolRunnableConfig } from '@langchain/core/tools'
import { configurationError, type ToolSandbox, ToolSources, type ToolSourcesOptions } from '@theazo/core/tools'
import type { TheazoTool } from './theazo-tool.ts'
import { type TheazoToolsOptions, toolsOf } from './tools.ts'

/** Options of {@link TheazoToolkit}: those of `theazoTools`, and the end of the sandboxes. */
export interface TheazoToolkitOptions
  extends TheazoToolsOptions, Pick<ToolSourcesOptions<ToolRunnableConfig>, 'onDispose'> {}

/**
 * The Theazo tools as a toolkit that owns its sandboxes: make one for each process. `dispose` terminates the sandboxes that
 * the toolkit has created. With `onDispose: 'pause'` it pauses all that it has used, and with `'leave'` it does nothing. A
 * sandbox that is not used for 30 minutes ends in the same way. Sandboxes have names: tools of the same user and name share
 * one, also with another toolkit, whose `dispose` would end it for both.
 *
 * @example
 * ```ts
 * import { TheazoToolkit } from '@theazo/langchain'
 * import { createAgent } from 'langchain'
 *
 * await using toolkit = new TheazoToolkit({
 *   sandbox: ({ configurable }) => ({ userId: configurable?.['userId'], name: configurable?.['thread_id'] }),
 * })
 * const assistant = createAgent({ model: 'anthropic:claude-sonnet-5-5', tools: toolkit.getTools() })
 * const config = { configurable: { userId: 'user_123', thread_id: 'thread_1' } }
 * const { messages } = await assistant.invoke({ messages: 'Compute the 1,000th prime number.' }, config)
 * ```
 */
export class TheazoToolkit extends BaseToolkit implements AsyncDisposable {
  readonly tools: TheazoTool[]
  // A private field: neither JSON nor an inspector shows the client, which holds the key.
  readonly #sources: ToolSources<ToolRunnableConfig>

  /**
   * @throws {ConfigurationError} if not exactly one of `agent`, `session`, `userId` and `sandbox` is given, or a tool is
   *   unknown.
   */
  constructor({ onDispose, ...options }: TheazoToolkitOptions = {}) {
    super()
    const isOwner = options.agent === undefined && options.pool === undefined
    this.#sources = new ToolSources({ ...options, onDispose: onDispose ?? (isOwner ? 'terminate' : undefined) })
    this.tools = toolsOf(this.#sources, options)
  }

  override getTools(): TheazoTool[] {
    return this.tools
  }

  /**
   * The sandbox of a run, e.g. to upload files before the run. It is created if there is none yet.
   *
   * @param config the config of the run, for the option `sandbox`.
   * @throws {TheazoError} of the creation; {@link ConfigurationError} if `sandbox` returns no valid key.
   * @example
   * ```ts
   * import { TheazoToolkit } from '@theazo/langchain'
   *
   * await using toolkit = new TheazoToolkit({ sandbox: ({ configurable }) => configurable?.['thread_id'] })
   * const sandbox = await toolkit.sandbox({ configurable: { thread_id: 'thread_1' } })
   * await sandbox.files.write('data.csv', 'a,b\n1,2\n')
   * ```
   */
  async sandbox(config: ToolRunnableConfig = {}): Promise<ToolSandbox & Required<Pick<ToolSandbox, 'files'>>> {
    const { sandbox: source } = this.#sources.of(config)
    const sandbox = typeof source === 'function' ? await source() : source
    if (hasFiles(sandbox)) return sandbox
    throw configurationError('The sandbox of the option agent has no file operations.')
  }

  /**
   * Ends the sandboxes that this toolkit has created, and refuses later calls.
   *
   * @throws {AggregateError} if some could not be ended.
   */
  async dispose(): Promise<void> {
    await this.#sources.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}

function hasFiles(sandbox: ToolSandbox): sandbox is ToolSandbox & Required<Pick<ToolSandbox, 'files'>> {
  return sandbox.files !== undefined
}
