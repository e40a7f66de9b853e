/** Maximum depth of nested objects and arrays. */
const maxDepth = 100
/** Maximum number of values in a body: ten times that of the largest legitimate body. */
const maxValues = 20_000
/** Maximum entries of one array or object. Does not apply to `metadata`, which has a limit on its size. */
const maxEntries = 256

const [quote, comma, backslash] = [0x22, 0x2c, 0x5c]
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d]

/**
 * Finds a fault that makes parsing a JSON text too expensive: parsing and validating millions of values would block every
 * other request. It is one pass without allocations. Invalid JSON passes: the parser reports it.
 *
 * @returns the fault as a message that continues the field's name.
 */
export function shapeFault(json: string): string | undefined {
  let depth = 0
  let values = 1
  for (let at = 0; at < json.length; at += 1) {
    const code = json.charCodeAt(at)
    if (code === quote) {
      at = endOfString(json, at)
      if (at === -1) return undefined
    } else if (code === comma) values += 1
    else if (code === openBrace || code === openBracket) {
      depth += 1
      values += 1
      if (depth > maxDepth) return `is nested more than ${maxDepth} levels deep`
    } else if (code === closeBrace || code === closeBracket) depth -= 1
    if (values > maxValues) return `has more than ${maxValues} values`
  }
  return undefined
}

/** The index of the quote that ends a string; -1 if there is none. */
function endOfString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at !== -1; at = json.indexOf('"', at + 1)) {
    let escapes = 0
    while (json.charCodeAt(at - 1 - escapes) === backslash) escapes += 1
    if (escapes % 2 === 0) return at
  }
  return -1
}

/** Finds the first array or object with too many entries in a parsed body. @returns its path and the message. */
export function crowdedField(value: unknown, path: readonly string[] = []): [string, string] | undefined {
  if (typeof value !== 'object' || value === null || path[0] === 'metadata') return undefined
  const entries = Object.entries(value)
  if (entries.length > maxEntries) {
    return [path.join('.') || 'body', `has ${entries.length} entries; at most ${maxEntries} are accepted`]
  }
  for (const [name, entry] of entries) {
    const found = crowdedField(entry, [...path, name.slice(0, maxNameChars)])
    if (found) return found
  }
  return undefined
}

/** Maximum characters of a name in an error: the name may be as long as the body. */
export const maxNameChars = 100
