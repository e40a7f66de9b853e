import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder and its parents, closed to other users. An existing folder stays unchanged.
 *
 * Node's recursive mkdir never returns if an existing parent accepts no new folder, e.g. below /proc.
 */
export async function makeFolder(path: string): Promise<void> {
  const isMade = await makeOne(path)
  if (isMade) return
  await makeFolder(dirname(path))
  if (!(await makeOne(path))) await mkdir(path) // throws the error
}

/** Makes one folder. @returns false if its parent does not exist. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 })
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && dirname(path) !== path) return false
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return true
    throw error
  }
}
