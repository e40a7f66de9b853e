import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, resolve } from 'node:path'
import { SetupError } from '../../errors.ts'

/**
 * The first `bwrap` of the PATH.
 *
 * @throws {SetupError} with the command that installs it.
 */
export async function findBubblewrap(): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = resolve(folder, 'bwrap')
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isExecutable) return path
  }
  throw new SetupError(
    'bubblewrap is not installed, and code never runs without isolation. Install it: sudo apt-get install -y bubblewrap',
  )
}
