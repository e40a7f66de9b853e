import { SetupError } from './errors.ts'

/** Advice by SQLite's result code. Other codes have no advice. */
const adviceByCode: ReadonlyMap<number, string> = new Map([
  [5, 'Another process uses it: stop that one first'], // SQLITE_BUSY
  [3, "Let the server's user write to the file and to its folder"], // SQLITE_PERM
  [8, "Let the server's user write to the file and to its folder"], // SQLITE_READONLY
  [14, "Let the server's user write to the file and to its folder"], // SQLITE_CANTOPEN
  [10, "Its disk is full or fails: free some space, or look at the machine's log"], // SQLITE_IOERR
  [13, 'Its disk is full: free some space'], // SQLITE_FULL
  [11, 'It is damaged: restore it from a backup, or move it away to start with an empty one'], // SQLITE_CORRUPT
  [26, 'It is damaged or not a database: restore it from a backup, or move it away to start with an empty one'], // SQLITE_NOTADB
])

const adviceByErrno: ReadonlyMap<string, string> = new Map([
  ['EACCES', "Let the server's user write there"],
  ['EPERM', "Let the server's user write there"],
  ['ENOSPC', 'Its disk is full: free some space'],
])

/**
 * Turns an error of a folder or a database at the start of the server into one line with the fix. Any other error is a
 * fault of the program and is returned unchanged.
 *
 * @param databasePath the database of SQLite's errors, which do not name it.
 */
export function asSetupError(error: unknown, databasePath: string): unknown {
  if (error instanceof SetupError || !(error instanceof Error)) return error
  if (isSqliteError(error)) {
    const advice = adviceByCode.get(error.errcode & 0xff)
    return unusable(`The database ${databasePath}`, error, advice)
  }
  if (isFileError(error)) return unusable('The data folder', error, adviceByErrno.get(error.code ?? ''))
  return error
}

function unusable(what: string, cause: Error, advice: string | undefined): SetupError {
  const fix = advice === undefined ? 'Give another folder' : `${advice}, or give another folder`
  return new SetupError(`${what} cannot be used: ${cause.message}. ${fix} with --data-dir.`, { cause })
}

/** True for an error of node:sqlite. */
function isSqliteError(error: unknown): error is Error & { errcode: number } {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
}

/** True if another process holds the requested lock. */
export function isBusy(error: unknown): boolean {
  return isSqliteError(error) && error.errcode === 5 // SQLITE_BUSY
}

/** True for an error of the file system. Sockets and processes have system errors too. */
function isFileError(error: Error): error is NodeJS.ErrnoException {
  const { syscall } = error as NodeJS.ErrnoException
  return syscall !== undefined && fileCalls.has(syscall)
}

const fileCalls: ReadonlySet<string> = new Set(
  (
    'open read write close fsync stat lstat fstat access chmod fchmod chown mkdir mkdtemp rmdir scandir opendir rename ' +
    'link unlink symlink readlink copyfile realpath'
  ).split(' '),
)
