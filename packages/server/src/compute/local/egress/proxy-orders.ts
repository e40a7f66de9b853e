/**
 * Messages from the server to the process of the egress proxy: one JSON object per line, on its standard input. They are
 * checked without a schema library, which would take longer to load than the rest of that process.
 *
 * @module
 */
import { TheazoServerError } from '../../../errors.ts'
import type { HostPattern } from '../../../network/host-pattern.ts'
import type { HostUser } from '../host-uid.ts'

/** One message. Sandboxes have numbers, which are not used again. */
export type ProxyOrder =
  /**
   * The first one. If the process is root, it switches to the user. `operator` lists the only hosts that sandboxes may
   * reach.
   */
  | { kind: 'begin'; user: HostUser; greeting: string; operator: readonly HostPattern[] }
  | { kind: 'open'; number: number; allow: readonly HostPattern[] }
  | { kind: 'close'; number: number }
  | { kind: 'ping' }

/** More than any list of an operator needs. */
export const maxOrderBytes: number = 16 * 2 ** 20

/** The order in the form that is sent. */
export function orderLine(order: ProxyOrder): string {
  return `${JSON.stringify(order)}\n`
}

/** @throws {TheazoServerError} if it is not an order. */
export function parseOrder(line: string): ProxyOrder {
  const order = JSON.parse(line) as Partial<Record<string, unknown>> | null // checked below, field by field
  const { kind, number, user, greeting, operator, allow } = order ?? {}
  if (kind === 'ping') return { kind }
  if (kind === 'close' && isNumber(number)) return { kind, number }
  if (kind === 'open' && isNumber(number) && arePatterns(allow)) return { kind, number, allow }
  if (kind === 'begin' && isUser(user) && typeof greeting === 'string' && arePatterns(operator)) {
    return { kind, user, greeting, operator }
  }
  throw new TheazoServerError(`'${String(kind)}' is not an order, or lacks a field.`)
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isUser(value: unknown): value is HostUser {
  const { uid, gid } = (value ?? {}) as Partial<HostUser> // checked here
  return isNumber(uid) && isNumber(gid)
}

function arePatterns(value: unknown): value is HostPattern[] {
  return Array.isArray(value) && value.every(isPattern)
}

function isPattern(value: unknown): value is HostPattern {
  const { kind, host, ports } = (value ?? {}) as Partial<HostPattern> // checked here
  if (!['any', 'below', 'exactly'].includes(String(kind)) || typeof host !== 'string') return false
  return ports === 'any' || (Array.isArray(ports) && ports.every(isNumber))
}
