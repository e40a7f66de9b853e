/**
 * The parts of a request that callers give, as HTTP can carry them.
 *
 * @module
 */
import { configurationError } from '../errors.ts'

/** @throws {ConfigurationError} for what no path can carry: `.` and `..` walk it in every encoding (WHATWG URL, 4.4). */
export function encodeSegment(segment: unknown): string {
  if (typeof segment !== 'string') throw configurationError(`An id must be a string, not ${typeName(segment)}.`)
  if (segment !== '' && !isDotSegment(segment) && segment.isWellFormed()) return encodeURIComponent(segment)
  throw configurationError(
    `${JSON.stringify(segment)} cannot be sent as an id: it is empty, a dot segment or no Unicode.`,
  )
}

/** True for what walks a path instead of naming a part of it. */
export function isDotSegment(segment: unknown): boolean {
  return segment === '.' || segment === '..'
}

/**
 * A body as JSON.
 *
 * @throws {ConfigurationError} that names the field which JSON cannot carry: a bigint, or an object that holds itself.
 */
export function jsonBody(body: unknown): string {
  try {
    return JSON.stringify(body)
  } catch (error) {
    const fault = unsendable(body, [], [])
    if (!fault) throw error // a toJSON of the caller's own
    throw configurationError(`${fault.path.join('.')} cannot be sent as JSON: it ${fault.reason}.`)
  }
}

function unsendable(
  value: unknown,
  path: readonly string[],
  within: readonly object[],
): { path: readonly string[]; reason: string } | undefined {
  if (typeof value === 'bigint') return { path, reason: `is a bigint, ${value}n; send a number or a string` }
  if (typeof value !== 'object' || value === null) return undefined
  if (within.includes(value)) return { path, reason: 'holds itself' }
  for (const [name, entry] of Object.entries(value)) {
    const found = unsendable(entry, [...path, name], [...within, value])
    if (found) return found
  }
  return undefined
}

function typeName(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

/** What no header can carry would fail in the platform, as a connection that may be tried again. */
export function assertHeader(name: string, value: unknown): void {
  if (typeof value === 'string' && !/[^\t\x20-\x7e\x80-\xff]/.test(value) && /^[\w!#$%&'*+.^`|~-]+$/.test(name)) return
  throw configurationError(`The header ${JSON.stringify(name)} has a name or a value that no header can carry.`)
}

/** With its question mark; empty without values. */
export function queryString(query: Record<string, string | number | undefined> | undefined): string {
  const entries = Object.entries(query ?? {}).filter(([, value]) => value !== undefined)
  return entries.length === 0 ? '' : `?${new URLSearchParams(entries.map(([name, value]) => [name, String(value)]))}`
}
