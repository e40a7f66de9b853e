import { randomBytes } from 'node:crypto'
import { readFile, realpath, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type FolderLock, lockFile } from './folder-lock.ts'
import { isBusy } from './as-setup-error.ts'

const idName = 'instance-id'

/** The folder of agents' files outside of the data folder, while a server uses it. */
export interface AgentsFolder extends AsyncDisposable {
  path: string
  /** True if the data folder is a copy of another one, which owns the files of the agents. */
  isCopy: boolean
}

/**
 * Opens the folder of agents' files that belongs to a data folder. The instance id in the data folder names it, so that
 * the data folder can be moved. A copy of a data folder has the same id: it gets a new one, and never touches the files
 * of the original.
 */
export async function openAgentsFolder(dataPath: string, parent: string): Promise<AgentsFolder> {
  const first = await tryOpen(dataPath, join(parent, await instanceId(dataPath)))
  if (first) return { ...first, isCopy: false }
  const own = await tryOpen(dataPath, join(parent, await renewInstanceId(dataPath)))
  if (own) return { ...own, isCopy: true }
  throw new Error('the folder of a new instance id exists already') // 64 random bits
}

/** Opens and locks the folder. @returns undefined if it belongs to another data folder. */
async function tryOpen(dataPath: string, path: string): Promise<Omit<AgentsFolder, 'isCopy'> | undefined> {
  const [lockPath, ownerPath] = [`${path}.lock`, `${path}.owner`]
  const lock = lockOrUndefined(lockPath)
  if (!lock) return undefined // another server uses it
  const owner = await readFile(ownerPath, 'utf8').catch(() => undefined)
  if (owner !== undefined && (await isOther(owner.trim(), dataPath, basename(path)))) {
    lock.close()
    return undefined
  }
  await writeFile(ownerPath, `${await realpath(dataPath)}\n`, { mode: 0o600 })
  return {
    path,
    async [Symbol.asyncDispose]() {
      const isEmpty = await rmdir(path).then(
        () => true,
        () => false, // it contains agents' files
      )
      if (isEmpty) await Promise.all([rm(ownerPath, { force: true }), rm(lockPath, { force: true })])
      lock.close()
    },
  }
}

function lockOrUndefined(path: string): FolderLock | undefined {
  try {
    return lockFile(path, 0)
  } catch (error) {
    if (isBusy(error)) return undefined
    throw error
  }
}

/** True if the recorded data folder still exists with the same id, and is not this one under another path. */
async function isOther(recordedPath: string, dataPath: string, id: string): Promise<boolean> {
  const [recorded, own] = await Promise.all([stat(recordedPath).catch(() => undefined), stat(dataPath)])
  if (!recorded || (recorded.dev === own.dev && recorded.ino === own.ino)) return false
  return (await readId(recordedPath)) === id
}

async function instanceId(dataPath: string): Promise<string> {
  return (await readId(dataPath)) ?? (await renewInstanceId(dataPath))
}

/** The instance id; undefined if the first start was killed before it wrote one. */
async function readId(dataPath: string): Promise<string | undefined> {
  const text = await readFile(join(dataPath, idName), 'utf8').catch(() => '')
  return basename(text.trim()) || undefined
}

/** Gives a data folder a new instance id, which names the folder of its agents' files. */
export async function renewInstanceId(dataPath: string): Promise<string> {
  const file = join(dataPath, idName)
  const id = randomBytes(8).toString('hex')
  await writeFile(`${file}.partial`, `${id}\n`, { mode: 0o600 })
  await rename(`${file}.partial`, file) // atomic: after a kill the file is never empty, which would keep the server from starting
  return id
}
