import { randomBytes } from 'node:crypto'
import { readFile, realpath, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type FolderLock, lockFile } from './folder-lock.ts'
import { isBusy } from './as-setup-error.ts'

const idName = 'instance-id'

/** The folder outside of the data folder that holds agents' files, for as long as a server uses it. */
export interface AgentsFolder extends AsyncDisposable {
  path: string
  /** The data folder was copied from another one, which keeps the files of the agents. */
  isCopy: boolean
}

/**
 * Opens the folder of agents' files that belongs to a data folder. They are tied by a name in the data folder, which a
 * move of it does not change. A copy of a data folder has the same name: it gets a new one, so that it never touches
 * the files of the original.
 */
export async function openAgentsFolder(dataPath: string, parent: string): Promise<AgentsFolder> {
  const first = await tryOpen(dataPath, join(parent, await instanceId(dataPath)))
  if (first) return { ...first, isCopy: false }
  const own = await tryOpen(dataPath, join(parent, await renewInstanceId(dataPath)))
  if (own) return { ...own, isCopy: true }
  throw new Error('a new name of a folder is taken already') // 64 random bits
}

/** Undefined if it belongs to another data folder. */
async function tryOpen(dataPath: string, path: string): Promise<Omit<AgentsFolder, 'isCopy'> | undefined> {
  const [lockPath, ownerPath] = [`${path}.lock`, `${path}.owner`]
  const lock = lockOrUndefined(lockPath)
  if (!lock) return undefined // another server runs on it
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
        () => false, // agents are kept there
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

/** True if the recorded data folder is still there, with the same name in it, and is not this one under another path. */
async function isOther(recordedPath: string, dataPath: string, id: string): Promise<boolean> {
  const [recorded, own] = await Promise.all([stat(recordedPath).catch(() => undefined), stat(dataPath)])
  if (!recorded || (recorded.dev === own.dev && recorded.ino === own.ino)) return false
  return (await readId(recordedPath)) === id
}

async function instanceId(dataPath: string): Promise<string> {
  return (await readId(dataPath)) ?? (await renewInstanceId(dataPath))
}

/** Undefined if there is none: a folder of a first start that was killed. */
async function readId(dataPath: string): Promise<string | undefined> {
  const text = await readFile(join(dataPath, idName), 'utf8').catch(() => '')
  return basename(text.trim()) || undefined
}

/** Gives a data folder a new name for its agents' files. */
export async function renewInstanceId(dataPath: string): Promise<string> {
  const file = join(dataPath, idName)
  const id = randomBytes(8).toString('hex')
  await writeFile(`${file}.partial`, `${id}\n`, { mode: 0o600 })
  await rename(`${file}.partial`, file) // in one step: a kill leaves no empty name, with which no server would start
  return id
}
