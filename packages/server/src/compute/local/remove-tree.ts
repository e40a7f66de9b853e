import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** The system's own tools, whatever the PATH of whoever started the server. */
const options = { env: { PATH: '/usr/bin:/bin' } }

/**
 * Removes a folder that untrusted code has filled.
 *
 * By coreutils: they walk by descriptor, so that neither a link nor a path longer than PATH_MAX leads them astray.
 * A plain user must first open the folders that the code has closed; root needs no permission.
 */
export async function removeTree(path: string): Promise<void> {
  if (process.getuid?.() !== 0) await run('chmod', ['-R', '--', 'u+rwx', path], options).catch(() => {})
  await run('rm', ['-rf', '--one-file-system', '--', path], options)
}
