import type { ModelMessage, ToolSet } from 'ai'
import type { ModelRequest } from '../model.ts'

/** Tools without `execute`: the AI SDK then ends after one step, and the loop makes the calls. */
export async function toolSet({ tools }: ModelRequest): Promise<ToolSet> {
  const { jsonSchema } = await import('ai')
  const entries = tools.map(({ name, description, inputSchema }) => {
    return [name, { description, inputSchema: jsonSchema(inputSchema) }] as const
  })
  return Object.fromEntries(entries)
}

/** Anthropic caches everything up to a breakpoint. Other providers ignore this option, because its name is `anthropic`. */
export const cacheBreakpoint = { providerOptions: { anthropic: { cacheControl: { type: 'ephemeral' } } } } as const

/** Sets a breakpoint at the last message, so that the next step reads all before it from the cache. */
export function withCacheBreakpoint(
  messages: ModelMessage[],
  breakpoint: typeof cacheBreakpoint | undefined,
): ModelMessage[] {
  const last = messages.at(-1)
  if (!breakpoint || !last) return messages
  const providerOptions = { ...last.providerOptions, ...breakpoint.providerOptions }
  return [...messages.slice(0, -1), { ...last, providerOptions }]
}
