/**
 * What people write into code or task text on a test key to get a certain answer: `theazo:NAME` or `theazo:NAME=VALUE`,
 * anywhere, as often as they like. A value with spaces stands in double quotes and is read as JSON:
 * `theazo:stdout="two words\n"`.
 *
 * @module
 */

/** By name; of a repeated one the last counts. One without a value has the empty text. */
export type Directives = ReadonlyMap<string, string>

const namePattern = /\btheazo:([a-z_]+)(=)?/g
const plainValue = /[^\s"]+/y

/** All that a text asks for. */
export function readDirectives(text: string): Directives {
  const found = new Map<string, string>()
  namePattern.lastIndex = 0
  for (let match; (match = namePattern.exec(text));) {
    const [, name = '', equals] = match
    const value = equals === undefined ? '' : valueAt(text, namePattern.lastIndex)
    namePattern.lastIndex += value.length
    found.set(name, unquoted(value))
  }
  return found
}

/** Not by one expression for both kinds: on megabytes of text a group that repeats fills the stack. */
function valueAt(text: string, start: number): string {
  if (text[start] === '"') return text.slice(start, endOfQuoted(text, start))
  plainValue.lastIndex = start
  return plainValue.exec(text)?.[0] ?? ''
}

/** The index after the quote that ends a quoted value; its start if there is none. */
function endOfQuoted(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') return at + 1
  }
  return start
}

/** A whole number that a directive gives; undefined where there is none. */
export function numberOf(directives: Directives, name: string): number | undefined {
  const value = directives.get(name)
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value
  try {
    return String(JSON.parse(value))
  } catch {
    return value.slice(1, -1) // no JSON text, e.g. with a line break in it
  }
}
