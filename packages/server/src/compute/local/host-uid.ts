import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SetupError } from '../../errors.ts'

/** The user of the host that a sandbox runs as, and its group. */
export interface HostUser {
  uid: number
  gid: number
}

/** Returns the user that the sandbox of an agent runs as. Never uid 0. */
export type HostUserOf = (agentId: string) => HostUser

/** Uids that systemd, container managers and distributions do not use (systemd, UIDS-GIDS). */
const unusedRange: UidRange = { start: 1_879_048_192, count: 134_217_728 }

interface UidRange {
  start: number
  count: number
}

/**
 * Decides which users sandboxes run as. If the server is root, each agent has its own uid, which depends only on its id.
 * Otherwise all agents have the uid of the server.
 *
 * @throws {SetupError} if the server is root of a user namespace without other uids.
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

/** In a container the unused range may not be mapped; the upper half of the largest mapped range is used then. */
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
