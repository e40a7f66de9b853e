import { type Stats, statSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, rmdir, stat, statfs, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inTurn } from './folder-turns.ts'
import type { HostUser } from './host-uid.ts'
import { removeTree } from './remove-tree.ts'
import { type RunTool, runTool } from './run-tool.ts'
import { sizeOfTree } from './size-of-tree.ts'

const inTime = { timeoutMs: 60_000 }
const imageName = 'disk.img'
const mountName = 'disk'

/**
 * A disk for each agent, in a file: what it holds is bounded by the kernel, names as well as bytes. Only root may mount,
 * and a container not always.
 */
export class DiskImages {
  readonly #diskBytes: number
  readonly #run: RunTool

  private constructor(diskBytes: number, run: RunTool) {
    this.#diskBytes = diskBytes
    this.#run = run
  }

  /** Tries it; undefined where it cannot be had. */
  static async open(run: RunTool, scratchPath: string, diskBytes: number): Promise<DiskImages | undefined> {
    if (process.getuid?.() !== 0 || diskBytes < smallestBytes) return undefined
    const images = new DiskImages(diskBytes, run)
    const trial = join(scratchPath, 'trial')
    try {
      await mkdir(trial)
      await images.create(trial, { uid: 0, gid: 0 })
      return images
    } catch {
      return undefined
    } finally {
      await unmountDisk(run, trial).catch(() => {})
      await rm(trial, { recursive: true, force: true })
    }
  }

  /** Makes an agent's disk in its folder, and mounts it. The image tells whose it is; its mode lets nobody in. */
  async create(folder: string, { uid, gid }: HostUser): Promise<void> {
    const image = join(folder, imageName)
    await writeFile(image, '', { mode: 0o600 })
    await truncate(image, this.#diskBytes)
    const format = ['-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,nodiscard', image]
    await this.#run('mkfs.ext4', format, inTime)
    await chown(image, uid, gid)
    await chmod(image, 0)
    await mkdir(join(folder, mountName))
    await mountDisk(this.#run, folder)
    await rmdir(join(folder, mountName, 'lost+found'))
    await chmod(join(folder, mountName), 0o711)
  }
}

/** Less has no room for a journal and the files of anybody. */
const smallestBytes = 16 * 1024 * 1024

/** Where an agent's files are: on its disk, where it has one. */
export function filesPath(folder: string): string {
  return hasDisk(folder) ? join(folder, mountName) : folder
}

/** Whose files are in an agent's folder; undefined where there are none. A disk need not be mounted for it. */
export function userOfFiles(folder: string): HostUser | undefined {
  const found = statOf(join(folder, hasDisk(folder) ? imageName : 'workspace'))
  return found && { uid: found.uid, gid: found.gid }
}

/** Mounts an agent's disk where it has one that is not mounted. */
export async function mountDisk(run: RunTool, folder: string): Promise<void> {
  await inTurn(folder, () => mount(run, folder))
}

/** Nothing of the agent may run. */
export async function unmountDisk(run: RunTool, folder: string): Promise<void> {
  await inTurn(folder, () => unmountIfMounted(run, folder))
}

/** Removes an agent's folder with its disk. Nothing of the agent may run. */
export async function removeFiles(run: RunTool, folder: string): Promise<void> {
  await inTurn(folder, async () => {
    await unmountIfMounted(run, folder)
    await removeTree(folder, run)
  })
}

/**
 * Bytes that an agent's files take; undefined if they are gone. A disk counts its own blocks, so that deleted files that
 * a process still holds are counted, and a look costs one system call; without one, `du` counts the names.
 */
export async function sizeOfFiles(run: RunTool, folder: string): Promise<number | undefined> {
  const size = await inTurn(folder, async () => {
    if (!userOfFiles(folder)) return undefined
    if (!hasDisk(folder)) return 'of names'
    await mount(run, folder)
    const { blocks, bfree, bsize } = await statfs(filesPath(folder))
    return (blocks - bfree) * bsize
  })
  return size === 'of names' ? await sizeOfTree(run, folder) : size
}

async function mount(run: RunTool, folder: string): Promise<void> {
  if (!hasDisk(folder) || (await isMounted(folder))) return
  // What is deleted inside is given back, so that the file takes what its files take.
  const options = 'loop,nosuid,nodev,noatime,discard'
  await run('mount', ['-t', 'ext4', '-o', options, join(folder, imageName), join(folder, mountName)], inTime)
}

async function unmountIfMounted(run: RunTool, folder: string): Promise<void> {
  if (await isMounted(folder)) await unmount(run, join(folder, mountName))
}

/** Unmounts what a killed server has left mounted below a folder. */
export async function unmountBelow(folder: string): Promise<void> {
  const paths = (await mountPoints()).filter((path) => path.startsWith(`${folder}/`))
  for (const path of paths.toReversed()) {
    await unmount(runTool, path).catch(async (error: unknown) => {
      if ((await mountPoints()).includes(path)) throw error // else another server, which starts too, was quicker
    })
  }
}

async function mountPoints(): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')).split('\n')
  return lines.map((line) => unescaped(line.split(' ')[4]))
}

/** The kernel writes what would break its lines in octal (proc(5)). */
function unescaped(path = ''): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)))
}

async function unmount(run: RunTool, path: string): Promise<void> {
  // Lazily if something still has it open for a moment.
  await run('umount', [path], inTime).catch(() => run('umount', ['--lazy', path], inTime))
}

function hasDisk(folder: string): boolean {
  return statOf(join(folder, imageName)) !== undefined
}

/** At once: each exec asks, and it takes microseconds. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined // e.g. where a folder was expected, there is something else
  }
}

/** A mounted folder is on another device than the one it is in. */
async function isMounted(folder: string): Promise<boolean> {
  const [outer, inner] = await Promise.all([
    stat(folder).catch(() => undefined),
    stat(join(folder, mountName)).catch(() => undefined),
  ])
  return outer !== undefined && inner !== undefined && outer.dev !== inner.dev
}
