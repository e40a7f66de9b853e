import { prefixTools, type SelectToolsOptions, selectTools } from '@theazo/core/tools'

/** Options of {@link theazoInterruptOn}. */
export interface TheazoInterruptOnOptions extends SelectToolsOptions {
  /** The prefix of the tools' names. Default: none. */
  prefix?: string | undefined
}

/**
 * The tools that need an approval, for LangChain's `humanInTheLoopMiddleware`. A tool that may delete or overwrite
 * something, or runs code, needs one; any other tool needs none.
 *
 * @returns for each selected tool, by name: true if a person must approve, edit or reject its call. Default: all tools.
 * @throws {ConfigurationError} if a tool or a group is unknown.
 * @example
 * ```ts
 * import { theazoInterruptOn } from '@theazo/langchain'
 *
 * const interruptOn = { ...theazoInterruptOn(), write_file: false }
 * // createAgent({ model, tools, middleware: [humanInTheLoopMiddleware({ interruptOn })], checkpointer })
 * ```
 */
export function theazoInterruptOn({ prefix = '', ...selection }: TheazoInterruptOnOptions = {}): Record<
  string,
  boolean
> {
  const tools = selectTools({ ...selection, groups: selection.groups ?? 'all' })
  return Object.fromEntries(prefixTools(tools, prefix).map(({ name, hints }) => [name, hints.destructive]))
}
