import type { z } from 'zod'

/** What a message repeats of a name that was sent: it may be as long as the body. */
const maxShownChars = 40

/**
 * The error of a strict object: names the first field that it does not know, and the nearest one that it does.
 *
 * @param known the fields that the object may have.
 */
export function unknownField(
  known: readonly string[],
): z.core.$ZodErrorMap<z.core.$ZodIssueInvalidType | z.core.$ZodIssueUnrecognizedKeys> {
  return (issue) => {
    const [field, ...more] = issue.code === 'unrecognized_keys' ? issue.keys : []
    if (field === undefined) return undefined // another fault, with zod's own message
    const shown = field.length > maxShownChars ? `${field.slice(0, maxShownChars)}…` : field
    const others = more.length > 0 ? ` (and ${more.length} more)` : ''
    return `must have no field '${shown}'${others}; did you mean '${nearest(field.slice(0, maxShownChars), known)}'?`
  }
}

function nearest(field: string, known: readonly string[]): string {
  const sorted = known.toSorted((a, b) => distance(field, a) - distance(field, b))
  return sorted[0] ?? ''
}

/** How many characters must be added, removed or replaced to make one text of the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, char] of Array.from(from).entries()) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j += 1) {
      const replaced = (row[j] ?? 0) + (char === to[j] ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
