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
  const renameAll = (text: string): string => text.replaceAll(names, `${prefix}$&`)
  // A result also has output of code and paths, which must not change: only the phrases of our own advice are renamed.
  const renameAdvice = (text: string): string => text.replaceAll(advice, `$1${prefix}$2`)
  return tools.map((tool) => ({
    ...tool,
    name: prefix + tool.name,
    description: renameAll(tool.description),
    async run(...args: Parameters<AnyTool['run']>): Promise<ToolResult<unknown>> {
      const result = await tool.run(...args)
      return { ...result, text: renameAdvice(result.text) }
    },
  }))
}

const list = Object.values(toolGroups)
  .flatMap((tools) => tools.map(({ name }) => name))
  .join('|')
const names = new RegExp(String.raw`\b(?:${list})\b`, 'g')
/** At the end of a sentence of ours, or at the start of a fault of an input. */
const advice = new RegExp(String.raw`(\b(?:with|from|use|Use) |^)(${list})(?=[. \]]|$)`, 'gm')
