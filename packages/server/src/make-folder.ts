import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder with those above it, closed to other users; one that is there is left as it is.
 *
 * Node's own recursive mkdir never ends where a parent is there and takes no folder, as below /proc.
 */
export async function makeFolder(path: string): Promise<void> {
  const isMade = await makeOne(path)
  if (isMade) return
  await makeFolder(dirname(path))
  if (!(await makeOne(path))) await mkdir(path) // for its error
}

/** False where the folder above it is not there. */
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
