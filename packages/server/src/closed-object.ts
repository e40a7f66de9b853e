import { z } from 'zod'
import { nearestWord } from './nearest-word.ts'

/** Characters of an unknown name that a message repeats: it may be as long as the body. */
const maxShownChars = 40

/**
 * An object that may have no other fields. For settings whose misspelling would go unnoticed: a misspelt cap is no cap.
 *
 * The error names the first unknown field, and the known field that is nearest to it.
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
      return `must have no field '${shown}'${others}; did you mean '${nearestWord(start, known)}'?`
    },
  })
}
