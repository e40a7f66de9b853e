import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isBusy } from './as-setup-error.ts'
import { SetupError } from './errors.ts'

/** Of the lock in a data folder. */
export const lockName = 'lock'

/** Held until it is closed, or its process ends. */
export type FolderLock = Pick<DatabaseSync, 'close'>

/**
 * One server a data folder: two would each take the other's agents for its own. A server that is closing is waited for.
 *
 * @throws {SetupError} if another process holds it.
 */
export function lockDataFolder(path: string): FolderLock {
  try {
    return lockFile(join(path, lockName), 5000)
  } catch (cause) {
    if (!isBusy(cause)) throw cause
    throw new SetupError(`${path} is in use by another server. Stop that one, or give this one another folder.`, {
      cause,
    })
  }
}

/** By SQLite's lock, which goes with its process, however that ends. @throws SQLite's error if it is taken. */
export function lockFile(path: string, timeoutMs: number): FolderLock {
  const lock = new DatabaseSync(path, { timeout: timeoutMs })
  try {
    chmodSync(path, 0o600) // whoever could open it could lock the server out of its own folder
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    throw error
  }
}
