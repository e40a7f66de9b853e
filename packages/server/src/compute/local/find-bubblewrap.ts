import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, resolve } from 'node:path'
import { SetupError } from '../../errors.ts'

/** The folders that a shell searches if there is no PATH: desktop programs start MCP servers with an empty environment. */
const standardPath = '/usr/local/bin:/usr/bin:/bin'

/**
 * The first `bwrap` of the PATH, or of the standard folders if there is no PATH.
 *
 * @throws {SetupError} if there is none; the message has the command that installs it.
 */
export async function findBubblewrap(): Promise<string> {
  const searched = process.env['PATH'] || standardPath
  for (const folder of searched.split(delimiter)) {
    const path = resolve(folder, 'bwrap')
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isExecutable) return path
  }
  throw new SetupError(
    `bubblewrap is not installed, or bwrap is not in PATH (${searched}), and code never runs without isolation. ` +
      'Install it: sudo apt-get install -y bubblewrap',
  )
}
