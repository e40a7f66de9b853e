import type { Bounds } from '../calls/answer-seconds.ts'

/**
 * Parses the whole number of a flag.
 *
 * @param unit the unit of the number, for the message. Default: none.
 * @throws {Error} if it is no number in the bounds. The message is one line.
 */
export function parseWholeNumber(flag: string, text: string | undefined, bounds: Bounds, unit?: 'seconds'): number {
  if (text === undefined) return bounds.default
  const number = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (number >= bounds.min && number <= bounds.max) return number
  const kind = unit === undefined ? 'a whole number' : `a whole number of ${unit}`
  throw new Error(`${flag} needs ${kind} from ${bounds.min} to ${bounds.max}, not '${text}'.`)
}
