import { z } from 'zod'
import { nearestWord } from './nearest-word.ts'

/** Maximum characters of an unknown name in a message: the name may be as long as the body. */
const maxShownChars = 40

/**
 * An object schema that rejects unknown fields. For settings where a misspelt field would go unnoticed: a misspelt cap
 * would never apply.
 *
 * The error names the first unknown field and the most similar known field.
 */
export function closedObject<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
): z.ZodObject<{ -readonly [Key in keyof Shape]: Shape[Key] }, z.core.$strict> {
  const known = Object.keys(shape)
  return z.strictObject(shape, {
    error(issue) {
      const [field, ...more] = issue.code === 'unrecognized_keys' ? issue.keys : []
      if (field === undefined) return undefined // another fault, with zod's own message
      const start = field.slice(0, maxShownChars)
      const shown = start.length < field.length ? `${start}…` : start
      const others = more.length > 0 ? ` (and ${more.length} more)` : ''
      return `has an unknown field '${shown}'${others}; did you mean '${nearestWord(start, known)}'?`
    },
  })
}
