import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SetupError } from '../../errors.ts'

/** The host's user that a sandbox runs as; its group has the same number. */
export interface HostUser {
  uid: number
  gid: number
}

/** Says which user the sandbox of an agent runs as. Never uid 0. */
export type HostUserOf = (agentId: string) => HostUser

/** Numbers that neither systemd, container managers nor distributions give to anybody (systemd, UIDS-GIDS). */
const unusedRange: UidRange = { start: 1_879_048_192, count: 134_217_728 }

interface UidRange {
  start: number
  count: number
}

/**
 * As root, every agent gets a uid of its own, always the same for an id; as a plain user, all have the server's.
 *
 * @throws {SetupError} as root of a user namespace that has no other uid to drop to.
 */
export async function hostUsers(): Promise<HostUserOf> {
  const { getuid, getgid } = process
  if (!getuid || !getgid) throw new SetupError('The local sandbox needs Linux: this platform has no user ids.')
  if (getuid() !== 0) {
    const user = { uid: getuid(), gid: getgid() }
    return () => user
  }
  const range = usableRange(await readFile('/proc/self/uid_map', 'utf8'))
  return (agentId) => {
    const digest = createHash('sha256').update(agentId).digest()
    const uid = range.start + (digest.readUInt32BE() % range.count)
    return { uid, gid: uid }
  }
}

/** In a container the unused range may not be mapped; the upper half of the largest mapped range then serves. */
function usableRange(uidMap: string): UidRange {
  const mapped = uidMap
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([start = 0, , count = 0]) => ({ start, count }))
  const end = unusedRange.start + unusedRange.count
  if (mapped.some(({ start, count }) => start <= unusedRange.start && start + count >= end)) return unusedRange
  const largest = mapped.reduce((a, b) => (b.count > a.count ? b : a), { start: 0, count: 0 })
  if (largest.count < 4096) {
    throw new SetupError(
      'The server is root in a user namespace without other uids, and the sandbox must not run as root: ' +
        'start the server as a plain user, or map a range of at least 4,096 uids.',
    )
  }
  const half = Math.floor(largest.count / 2)
  return { start: largest.start + half, count: largest.count - half }
}
