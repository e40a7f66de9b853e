/**
 * What people write into code or task text on a test key to get a certain answer: `theazo:NAME` or `theazo:NAME=VALUE`,
 * anywhere, as often as they like. A value with spaces stands in double quotes and is read as JSON:
 * `theazo:stdout="two words\n"`.
 *
 * @module
 */

/** By name; of a repeated one the last counts. One without a value has the empty text. */
export type Directives = ReadonlyMap<string, string>

const pattern = /\btheazo:([a-z_]+)(?:=("(?:[^"\\]|\\.)*"|[^\s"]+))?/g

/** All that a text asks for. */
export function readDirectives(text: string): Directives {
  const found = new Map<string, string>()
  for (const [, name = '', value = ''] of text.matchAll(pattern)) found.set(name, unquoted(value))
  return found
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
