import { configurationError } from '../errors.ts'
import { type AnyTool, toolGroups } from './catalog.ts'
import type { ToolResult } from './define-tool.ts'

/** Providers accept names of at most 64 such characters. */
const validPrefix = /^[\w-]{0,40}$/

/**
 * The tools with a prefix before their names, for a model that also has other tools of these names. Descriptions and
 * errors name the tools with the prefix too.
 *
 * @param prefix at most 40 letters, digits, `_` and `-`.
 * @throws {ConfigurationError} for any other prefix.
 * @example
 * ```ts
 * import { prefixTools, selectTools } from '@theazo/core/tools'
 *
 * const names = prefixTools(selectTools(), 'theazo_').map(({ name }) => name) // theazo_run_code, …
 * ```
 */
export function prefixTools(tools: readonly AnyTool[], prefix: string): AnyTool[] {
  if (typeof prefix !== 'string' || !validPrefix.test(prefix)) {
    throw configurationError('prefix must have at most 40 characters: letters, digits, _ and -.')
  }
  if (prefix === '') return [...tools]
  const rename = (text: string): string => text.replaceAll(names, `${prefix}$&`)
  return tools.map((tool) => ({
    ...tool,
    name: prefix + tool.name,
    description: rename(tool.description),
    async run(...args: Parameters<AnyTool['run']>): Promise<ToolResult<unknown>> {
      const result = await tool.run(...args)
      // Only the text of an error names other tools. A result contains output of code, which must not change.
      return result.isError ? { ...result, text: rename(result.text) } : result
    },
  }))
}

const names = new RegExp(
  String.raw`\b(?:${Object.values(toolGroups)
    .flatMap((tools) => tools.map(({ name }) => name))
    .join('|')})\b`,
  'g',
)
