import { SetupError } from './errors.ts'

/** SQLite's result codes that say what to do; the rest is told as it is. */
const adviceByCode: ReadonlyMap<number, string> = new Map([
  [5, 'Another process uses it: stop that one first'], // SQLITE_BUSY
  [3, "Let the server's user write to the file and to its folder"], // SQLITE_PERM
  [8, "Let the server's user write to the file and to its folder"], // SQLITE_READONLY
  [14, "Let the server's user write to the file and to its folder"], // SQLITE_CANTOPEN
  [10, 'Its disk is full, or fails: make room, or see the log of the machine'], // SQLITE_IOERR
  [13, 'Its disk is full: make room'], // SQLITE_FULL
  [11, 'It is damaged: restore it from a backup, or move it away to begin with an empty one'], // SQLITE_CORRUPT
  [26, 'It is damaged, or no database: restore it from a backup, or move it away to begin with an empty one'], // SQLITE_NOTADB
])

const adviceByErrno: ReadonlyMap<string, string> = new Map([
  ['EACCES', "Let the server's user write there"],
  ['EPERM', "Let the server's user write there"],
  ['ENOSPC', 'Its disk is full: make room'],
])

/**
 * What an operator is told where a folder or a database cannot be used while the server starts: one line, with the fix.
 * Any other error is a fault of the program, and stays as it is.
 *
 * @param databasePath which database SQLite's errors are about: they do not say.
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

/** SQLite's own error, as node:sqlite throws it. */
function isSqliteError(error: unknown): error is Error & { errcode: number } {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
}

/** True if another process holds the lock that was asked for. */
export function isBusy(error: unknown): boolean {
  return isSqliteError(error) && error.errcode === 5 // SQLITE_BUSY
}

/** Of the file system. Sockets and processes have system errors too. */
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
