import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isBusy } from './as-setup-error.ts'
import { SetupError } from './errors.ts'

/** Name of the lock file in a data folder. */
export const lockName = 'lock'

/** A lock that is held until it is closed or its process ends. */
export type FolderLock = Pick<DatabaseSync, 'close'>

/**
 * Locks a data folder for one server: two servers would each treat the other's agents as their own. Waits 5 s for a
 * server that is closing.
 *
 * @throws {SetupError} if another process holds the lock.
 */
export function lockDataFolder(path: string): FolderLock {
  try {
    return lockFile(join(path, lockName), 5000)
  } catch (cause) {
    if (!isBusy(cause)) throw cause
    throw new SetupError(`${path} is in use by another server. Stop that server, or give another folder.`, {
      cause,
    })
  }
}

/** Locks a file by SQLite's lock, which ends with its process, however that ends. @throws SQLite's error if it is taken. */
export function lockFile(path: string, timeoutMs: number): FolderLock {
  const lock = new DatabaseSync(path, { timeout: timeoutMs })
  try {
    chmodSync(path, 0o600) // another user who could open it could lock the server out
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    throw error
  }
}
