/**
 * Directives: text in code or in a task that requests a certain answer from a test key. The form is `theazo:NAME` or
 * `theazo:NAME=VALUE`, anywhere in the text, any number of times. A value with spaces is in double quotes and is read as JSON:
 * `theazo:stdout="two words\n"`.
 *
 * @module
 */

/** Directives by name. The last one with a name counts. One without a value has an empty text. */
export type Directives = ReadonlyMap<string, string>

const namePattern = /\btheazo:([a-z_]+)(=)?/g
const plainValue = /[^\s"]+/y

/** Reads all directives of a text. */
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

/** There is no single regular expression for both forms: on megabytes of text, a repeated group overflows the stack. */
function valueAt(text: string, start: number): string {
  if (text[start] === '"') return text.slice(start, endOfQuoted(text, start))
  plainValue.lastIndex = start
  return plainValue.exec(text)?.[0] ?? ''
}

/** The index after the closing quote of a value; the index of its start if there is none. */
function endOfQuoted(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') return at + 1
  }
  return start
}

/** The whole number in a directive; undefined if there is none. */
export function numberOf(directives: Directives, name: string): number | undefined {
  const value = directives.get(name)
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value
  try {
    return String(JSON.parse(value))
  } catch {
    return value.slice(1, -1) // not valid JSON, e.g. with a line break in it
  }
}
