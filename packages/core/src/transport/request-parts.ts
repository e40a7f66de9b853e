/**
 * Encodes and checks the parts of a request that callers pass: ids, bodies, headers and queries.
 *
 * @module
 */
import { configurationError } from '../errors.ts'

/**
 * An id as a path segment.
 *
 * @throws {ConfigurationError} for an id that a path cannot contain. URL parsers resolve `.` and `..` in every encoding
 *   (WHATWG URL, 4.4).
 */
export function encodeSegment(segment: unknown): string {
  if (typeof segment !== 'string') throw configurationError(`An id must be a string, not ${typeName(segment)}.`)
  if (segment !== '' && !isDotSegment(segment) && segment.isWellFormed()) return encodeURIComponent(segment)
  throw configurationError(
    `${JSON.stringify(segment)} cannot be sent as an id: it is empty, "." or "..", or not well-formed Unicode.`,
  )
}

/** True for the path segments `.` and `..`. */
export function isDotSegment(segment: unknown): boolean {
  return segment === '.' || segment === '..'
}

/**
 * A body as JSON.
 *
 * @throws {ConfigurationError} that names a field which JSON cannot represent: a bigint or a circular reference.
 */
export function jsonBody(body: unknown): string {
  try {
    return JSON.stringify(body)
  } catch (error) {
    const fault = findUnsendable(body, [], [])
    if (!fault) throw error // thrown by a toJSON method of the caller
    throw configurationError(`${fault.path.join('.')} cannot be sent as JSON: it ${fault.reason}.`)
  }
}

function findUnsendable(
  value: unknown,
  path: readonly string[],
  ancestors: readonly object[],
): { path: readonly string[]; reason: string } | undefined {
  if (typeof value === 'bigint') return { path, reason: `is a bigint, ${value}n; send a number or a string` }
  if (typeof value !== 'object' || value === null) return undefined
  if (ancestors.includes(value)) return { path, reason: 'contains itself' }
  for (const [name, entry] of Object.entries(value)) {
    const found = findUnsendable(entry, [...path, name], [...ancestors, value])
    if (found) return found
  }
  return undefined
}

function typeName(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

/**
 * Checks a header before fetch does: an error of fetch would be taken for a connection error and retried.
 *
 * @throws {ConfigurationError} for an invalid name or value.
 */
export function assertHeader(name: string, value: unknown): void {
  if (typeof value === 'string' && !/[^\t\x20-\x7e\x80-\xff]/.test(value) && /^[\w!#$%&'*+.^`|~-]+$/.test(name)) return
  throw configurationError(`The header ${JSON.stringify(name)} has characters in its name or value that HTTP forbids.`)
}

/** The query with its question mark; an empty string if there are no values. */
export function queryString(query: Record<string, string | number | undefined> | undefined): string {
  const entries = Object.entries(query ?? {}).filter(([, value]) => value !== undefined)
  return entries.length === 0 ? '' : `?${new URLSearchParams(entries.map(([name, value]) => [name, String(value)]))}`
}
