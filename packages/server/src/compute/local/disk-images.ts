import { type Stats, statSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, rmdir, stat, statfs, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { queueOnFolder } from './folder-queue.ts'
import type { HostUser } from './host-uid.ts'
import { removeTree } from './remove-tree.ts'
import { type RunTool, runTool } from './run-tool.ts'
import { sizeOfTree } from './size-of-tree.ts'

const toolOptions = { timeoutMs: 60_000 }
const imageName = 'disk.img'
const mountName = 'disk'

/**
 * A disk for each agent, in an image file. The kernel limits its content, the number of files as well as their bytes. Only
 * root may mount it, and some containers forbid even that.
 */
export class DiskImages {
  readonly #diskBytes: number
  readonly #run: RunTool

  private constructor(diskBytes: number, run: RunTool) {
    this.#diskBytes = diskBytes
    this.#run = run
  }

  /** Tries to create and mount a disk; undefined if that fails. */
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

  /** Creates an agent's disk in its folder, and mounts it. The owner of the image file records the agent's user; its mode allows no access. */
  async create(folder: string, { uid, gid }: HostUser): Promise<void> {
    const image = join(folder, imageName)
    await writeFile(image, '', { mode: 0o600 })
    await truncate(image, this.#diskBytes)
    const format = ['-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,nodiscard', image]
    await this.#run('mkfs.ext4', format, toolOptions)
    await chown(image, uid, gid)
    await chmod(image, 0)
    await mkdir(join(folder, mountName))
    await mountDisk(this.#run, folder)
    await rmdir(join(folder, mountName, 'lost+found'))
    await chmod(join(folder, mountName), 0o711)
  }
}

/** A smaller disk has no room for a journal and files. */
const smallestBytes = 16 * 1024 * 1024

/** The folder of an agent's files: on its disk if it has one. */
export function filesPath(folder: string): string {
  return hasDisk(folder) ? join(folder, mountName) : folder
}

/** The user of the files in an agent's folder; undefined if there are none. A disk need not be mounted. */
export function userOfFiles(folder: string): HostUser | undefined {
  const found = statOf(join(folder, hasDisk(folder) ? imageName : 'workspace'))
  return found && { uid: found.uid, gid: found.gid }
}

/** Mounts an agent's disk if it has one that is not mounted. */
export async function mountDisk(run: RunTool, folder: string): Promise<void> {
  await queueOnFolder(folder, () => mount(run, folder))
}

/** Unmounts an agent's disk. No process of the agent may run. */
export async function unmountDisk(run: RunTool, folder: string): Promise<void> {
  await queueOnFolder(folder, () => unmountIfMounted(run, folder))
}

/** Removes an agent's folder with its disk. No process of the agent may run. */
export async function removeFiles(run: RunTool, folder: string): Promise<void> {
  await queueOnFolder(folder, async () => {
    await unmountIfMounted(run, folder)
    await removeTree(folder, run)
  })
}

/**
 * Bytes that an agent's files use; undefined if they are gone. For a disk it is the number of used blocks, which includes
 * deleted files that a process still has open, and costs one system call. Without a disk, `du` visits each file.
 */
export async function sizeOfFiles(run: RunTool, folder: string): Promise<number | undefined> {
  const size = await queueOnFolder(folder, async () => {
    if (!userOfFiles(folder)) return undefined
    if (!hasDisk(folder)) return 'use du'
    await mount(run, folder)
    const { blocks, bfree, bsize } = await statfs(filesPath(folder))
    return (blocks - bfree) * bsize
  })
  return size === 'use du' ? await sizeOfTree(run, folder) : size
}

async function mount(run: RunTool, folder: string): Promise<void> {
  if (!hasDisk(folder) || (await isMounted(folder))) return
  // `discard` frees the blocks of deleted files, so that the image uses only as much space as its files.
  const options = 'loop,nosuid,nodev,noatime,discard'
  await run('mount', ['-t', 'ext4', '-o', options, join(folder, imageName), join(folder, mountName)], toolOptions)
}

async function unmountIfMounted(run: RunTool, folder: string): Promise<void> {
  if (await isMounted(folder)) await unmount(run, join(folder, mountName))
}

/** Unmounts the disks that a killed server has left mounted below a folder. */
export async function unmountBelow(folder: string): Promise<void> {
  const paths = (await mountPoints()).filter((path) => path.startsWith(`${folder}/`))
  for (const path of paths.toReversed()) {
    await unmount(runTool, path).catch(async (error: unknown) => {
      if ((await mountPoints()).includes(path)) throw error // otherwise another server that is starting was faster
    })
  }
}

async function mountPoints(): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')).split('\n')
  return lines.map((line) => unescaped(line.split(' ')[4]))
}

/** The kernel writes separators within a path in octal (proc(5)). */
function unescaped(path = ''): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)))
}

async function unmount(run: RunTool, path: string): Promise<void> {
  // Lazily if a process still has a file open.
  await run('umount', [path], toolOptions).catch(() => run('umount', ['--lazy', path], toolOptions))
}

function hasDisk(folder: string): boolean {
  return statOf(join(folder, imageName)) !== undefined
}

/** Synchronous: each exec calls it, and it takes microseconds. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined // e.g. a part of the path is not a folder
  }
}

/** A mounted folder is on another device than its parent. */
async function isMounted(folder: string): Promise<boolean> {
  const [outer, inner] = await Promise.all([
    stat(folder).catch(() => undefined),
    stat(join(folder, mountName)).catch(() => undefined),
  ])
  return outer !== undefined && inner !== undefined && outer.dev !== inner.dev
}
