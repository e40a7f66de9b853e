import { monotonicFactory } from 'ulid'

const ulid = monotonicFactory()

/** A prefixed ULID: sorts by time of creation, also within one millisecond of this process. */
export function newId(prefix: 'ses' | 'agt' | 'task' | 'req' | 'key'): string {
  return `${prefix}_${ulid()}`
}
