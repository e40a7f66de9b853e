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

/** Where a server keeps its things. */
export interface DataFolder extends AsyncDisposable {
  /** Database and embedded key; closed to all but the server. */
  path: string
  /** Agents' files; the agents' users can traverse to it. */
  agentsPath: string
  /** Node's binary, readable by the agents' users. */
  nodePath: string
  /** What servers share and the agents' users may read. */
  sharedPath: string
  /** Sockets of sandboxes' ways out; the agents' users can traverse to it. Made when the first is. */
  egressPath: string
  /** What this process alone needs, while it runs; closed to all others. */
  scratchPath: string
  /** Nobody opens it again. */
  isTemporary: boolean
  /** It was copied from another one, which keeps the files of its agents. */
  isCopy: boolean
}

/**
 * Opens the data folder, or makes a temporary one that is removed on dispose.
 *
 * As root the agents run as users of their own, who cannot traverse a closed parent (root's home, a `mktemp -d` clone).
 * Their files and Node's binary are then kept below a place that all may traverse and nobody may list.
 *
 * @throws {SetupError} where a folder cannot be made or belongs to somebody else.
 */
export async function openDataFolder(dataDir: string | undefined): Promise<DataFolder> {
  const isRoot = process.getuid?.() === 0
  try {
    const base = await openBase(isRoot)
    const keptPath = dataDir === undefined ? undefined : resolve(dataDir)
    if (keptPath !== undefined) await makeFolder(keptPath)
    const lock = keptPath === undefined ? undefined : lockDataFolder(keptPath)
    const outside =
      keptPath === undefined || !isRoot ? undefined : await openAgentsFolder(keptPath, join(base, 'agents'))
    const temporary = await makeTemporary(base)
    const nodePath = isRoot ? await reachableNode(base, temporary) : process.execPath
    const path = keptPath ?? join(temporary, 'data')
    const agentsPath = outside?.path ?? join(keptPath ?? temporary, 'agents')
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
      isTemporary: keptPath === undefined,
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

/** Where servers of this user keep what is not in a data folder. */
export async function openBase(isRoot: boolean): Promise<string> {
  const base = isRoot ? '/var/lib/theazo' : join(tmpdir(), `theazo-${process.getuid?.()}`)
  const mode = isRoot ? 0o711 : 0o700
  await mkdir(base, { recursive: true, mode }).catch((cause: Error) => {
    const fix = isRoot ? 'Make it writable: files of agents are kept there' : 'Set TMPDIR to a folder of your own'
    throw new SetupError(`${base} cannot be used: ${cause.message}. ${fix}.`, { cause })
  })
  const found = await lstat(base)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new SetupError(`${base} belongs to another user; remove it, or set TMPDIR to a folder of your own.`)
  }
  await chmod(base, mode)
  for (const name of isRoot ? ['agents', 'temporary'] : ['temporary']) {
    await mkdir(join(base, name), { recursive: true })
    await chmod(join(base, name), mode)
  }
  return base
}

/** Copies Node's binary once; a second server finds it there. */
async function reachableNode(base: string, temporary: string): Promise<string> {
  const { size } = await stat(process.execPath)
  const path = join(base, `node-${process.version}-${process.arch}-${size}`)
  if (await stat(path).catch(() => undefined)) return path
  const partial = join(temporary, 'node')
  await copyFile(process.execPath, partial)
  await chmod(partial, 0o755)
  await rename(partial, path) // in one step: nobody sees half a binary
  return path
}

/** A folder for as long as this process lives. */
async function makeTemporary(base: string): Promise<string> {
  const parent = join(base, 'temporary')
  await sweep(parent)
  // The name says whose it is, so that what a killed server left behind can be told from what is in use.
  const path = join(parent, `${process.pid}-${await startTime(process.pid)}-${randomBytes(4).toString('hex')}`)
  await mkdir(path)
  await chmod(path, 0o711)
  return path
}

/** Removes what servers that are gone have left: control groups with what is frozen in them, and temporary folders. */
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

/** A pid is used again, a pid with its start time is not (proc(5), field 22 of stat). */
async function startTime(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19]
}
