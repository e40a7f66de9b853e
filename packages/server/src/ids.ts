import { randomFillSync } from 'node:crypto'
import { decodeTime, monotonicFactory } from 'ulid'

/** Random bytes are asked for by the thousand: one at a time they cost more than all else about a request's id. */
const bytes = new Uint8Array(1024)
let used = bytes.length
const ulid = monotonicFactory(() => {
  if (used === bytes.length) {
    randomFillSync(bytes)
    used = 0
  }
  return (bytes[used++] ?? 0) / 256
})
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
