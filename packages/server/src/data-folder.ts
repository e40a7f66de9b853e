import { randomBytes } from 'node:crypto'
import { chmod, copyFile, lstat, mkdir, readdir, readFile, rename, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openAgentsFolder } from './agents-folder.ts'
import { cgroupsFile, sweepCgroups } from './compute/local/cgroups.ts'
import { unmountBelow } from './compute/local/disk-images.ts'
import { removeTree } from './compute/local/remove-tree.ts'
import { asSetupError } from './as-setup-error.ts'
import { SetupError } from './errors.ts'
import { lockDataFolder, lockName } from './folder-lock.ts'
import { makeFolder } from './make-folder.ts'

/** The warning of a server that uses a copied data folder. */
export const copiedFolder =
  "This data folder is a copy: its agents' files belong to the original folder, so its agents are marked as failed. " +
  'To copy the files too, use theazo-server backup and restore.'

/** The folders of a server. */
export interface DataFolder extends AsyncDisposable {
  /** Database and embedded key; only the server's user has access. */
  path: string
  /** Agents' files; the agents' users can traverse to it. */
  agentsPath: string
  /** Node's binary, readable by the agents' users. */
  nodePath: string
  /** Files that servers share and the agents' users may read. */
  sharedPath: string
  /** Sockets to the egress proxy; the agents' users can traverse to it. Created with the first socket. */
  egressPath: string
  /** Temporary files of this process; only the server's user has access. */
  scratchPath: string
  /** True if the folder is removed when the server ends. */
  isTemporary: boolean
  /** True if the folder is a copy of another data folder, which owns the files of the agents. */
  isCopy: boolean
}

/**
 * Opens the data folder, or makes a temporary one that is removed on dispose.
 *
 * If the server is root, each agent has its own user, which cannot traverse a closed parent (root's home, a `mktemp -d`
 * clone). Agents' files and Node's binary are then below a folder that everybody may traverse and nobody may list.
 *
 * @throws {SetupError} if a folder cannot be made or belongs to another user.
 */
export async function openDataFolder(dataDir: string | undefined): Promise<DataFolder> {
  const isRoot = process.getuid?.() === 0
  try {
    const base = await openBase(isRoot)
    const dataPath = dataDir === undefined ? undefined : resolve(dataDir)
    if (dataPath !== undefined) await makeFolder(dataPath)
    const lock = dataPath === undefined ? undefined : lockDataFolder(dataPath)
    const outside =
      dataPath === undefined || !isRoot ? undefined : await openAgentsFolder(dataPath, join(base, 'agents'))
    const temporary = await makeTemporary(base)
    const nodePath = isRoot ? await reachableNode(base, temporary) : process.execPath
    const path = dataPath ?? join(temporary, 'data')
    const agentsPath = outside?.path ?? join(dataPath ?? temporary, 'agents')
    const scratchPath = join(temporary, 'scratch')
    await mkdir(path, { recursive: true, mode: 0o700 })
    await mkdir(scratchPath, { mode: 0o700 })
    await mkdir(agentsPath, { recursive: true })
    await chmod(agentsPath, 0o711)
    return {
      path,
      agentsPath,
      nodePath,
      scratchPath,
      egressPath: join(temporary, 'egress'),
      sharedPath: base,
      isTemporary: dataPath === undefined,
      isCopy: outside?.isCopy ?? false,
      async [Symbol.asyncDispose]() {
        await removeTree(temporary)
        await outside?.[Symbol.asyncDispose]()
        lock?.close()
      },
    }
  } catch (error) {
    throw asSetupError(error, join(dataDir ?? '', lockName))
  }
}

/** The folder of all servers of this user, for files outside of their data folders. */
export async function openBase(isRoot: boolean): Promise<string> {
  const base = isRoot ? '/var/lib/theazo' : join(tmpdir(), `theazo-${process.getuid?.()}`)
  const mode = isRoot ? 0o711 : 0o700
  await mkdir(base, { recursive: true, mode }).catch((cause: Error) => {
    const fix = isRoot ? "Make it writable: it stores agents' files" : 'Set TMPDIR to a folder of your own'
    throw new SetupError(`${base} cannot be used: ${cause.message}. ${fix}.`, { cause })
  })
  const found = await lstat(base)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new SetupError(`${base} belongs to another user. Remove it, or set TMPDIR to a folder of your own.`)
  }
  await chmod(base, mode)
  for (const name of isRoot ? ['agents', 'temporary'] : ['temporary']) {
    await mkdir(join(base, name), { recursive: true })
    await chmod(join(base, name), mode)
  }
  return base
}

/** Copies Node's binary once, to a path that agents' users can reach. Later servers use the same copy. */
async function reachableNode(base: string, temporary: string): Promise<string> {
  const { size } = await stat(process.execPath)
  const path = join(base, `node-${process.version}-${process.arch}-${size}`)
  if (await stat(path).catch(() => undefined)) return path
  const partial = join(temporary, 'node')
  await copyFile(process.execPath, partial)
  await chmod(partial, 0o755)
  await rename(partial, path) // atomic: nobody sees half a binary
  return path
}

/** Makes a folder for the lifetime of this process. */
async function makeTemporary(base: string): Promise<string> {
  const parent = join(base, 'temporary')
  await sweep(parent)
  // The name identifies the process, so that the folder of a killed server can be distinguished from one in use.
  const path = join(parent, `${process.pid}-${await startTime(process.pid)}-${randomBytes(4).toString('hex')}`)
  await mkdir(path)
  await chmod(path, 0o711)
  return path
}

/** Removes the remains of servers that no longer run: control groups with frozen processes, and temporary folders. */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const [pid, started] = name.split('-')
    if ((await startTime(Number(pid))) === started) continue
    const cgroups = await readFile(join(parent, name, 'scratch', cgroupsFile), 'utf8').catch(() => '')
    await sweepCgroups(cgroups.split('\n').filter(Boolean))
    await unmountBelow(join(parent, name))
    await removeTree(join(parent, name))
  }
}

/** The start time of a process. A pid is reused; a pid with its start time is unique (proc(5), field 22 of stat). */
async function startTime(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19]
}
