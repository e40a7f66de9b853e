import type { EngineTool } from './engine-tool.ts'

/** Providers accept names of at most 64 characters: letters, digits, `_` and `-`. */
const maxNameChars = 64

/**
 * Gives each tool a name that every provider accepts, and no other tool has. The first tool with a name keeps it; the next
 * ones get a number.
 */
export function withValidNames(tools: readonly EngineTool[]): EngineTool[] {
  const taken = new Set<string>()
  return tools.map((tool) => {
    const name = freeName(tool.name.replaceAll(/[^\w-]/g, '_'), taken)
    taken.add(name)
    return name === tool.name ? tool : { ...tool, name }
  })
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  for (let number = 1; ; number += 1) {
    const end = number === 1 ? '' : `_${number}`
    const name = wanted.slice(0, maxNameChars - end.length) + end
    if (!taken.has(name)) return name
  }
}
