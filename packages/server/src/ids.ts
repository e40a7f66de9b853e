import { decodeTime, monotonicFactory } from 'ulid'

const ulid = monotonicFactory()
let latestMs = 0

/** A prefixed ULID: sorts by time of creation, also within one millisecond of this process, and if the clock is set back. */
export function newId(prefix: 'ses' | 'agt' | 'task' | 'req' | 'key' | 'use'): string {
  return `${prefix}_${newUlid()}`
}

/** The same without a prefix. */
export function newUlid(): string {
  latestMs = Math.max(latestMs, Date.now())
  return ulid(latestMs)
}

/** From now on ids sort after this one, which an earlier process may have made by a clock that was ahead. */
export function continueAfter(id: string): void {
  latestMs = Math.max(latestMs, decodeTime(id.slice(id.indexOf('_') + 1)) + 1)
}
