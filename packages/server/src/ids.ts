import { randomFillSync } from 'node:crypto'
import { decodeTime, monotonicFactory } from 'ulid'

/** Random bytes are generated in blocks: single calls would be the largest cost of an id. */
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

/** A prefixed ULID. Ids sort by creation, also within one millisecond of this process and after the clock was set back. */
export function newId(prefix: 'ses' | 'agt' | 'task' | 'req' | 'key' | 'use'): string {
  return `${prefix}_${newUlid()}`
}

/** A ULID without a prefix, in the same order. */
export function newUlid(): string {
  latestMs = Math.max(latestMs, Date.now())
  return ulid(latestMs)
}

/** Makes later ids sort after this one, which an earlier process may have created with a clock that was ahead. */
export function continueAfter(id: string): void {
  latestMs = Math.max(latestMs, decodeTime(id.slice(id.indexOf('_') + 1)) + 1)
}
