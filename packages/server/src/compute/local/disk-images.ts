import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, chown, mkdir, readFile, rename, rm, rmdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { HostUser } from './host-uid.ts'
import { WhenQuiet } from './when-quiet.ts'

const run = promisify(execFile)
/** The system's own tools, whatever the PATH of whoever started the server. */
const tools = { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeout: 60_000 }
const imageName = 'disk.img'
const mountName = 'disk'

/**
 * A disk for each agent, in a file: what it holds is bounded by the kernel, names as well as bytes. Only root may mount,
 * and a container not always.
 */
export class DiskImages {
  readonly #scratchPath: string
  readonly #diskBytes: number
  /** Formatted ahead: that takes longer than all else about a disk. */
  #blank: Promise<string> | undefined
  readonly #ahead = new WhenQuiet(() => {
    this.#blank ??= this.#format()
    this.#blank.catch(() => (this.#blank = undefined)) // who needs it tries again, and is told
  })

  private constructor(scratchPath: string, diskBytes: number) {
    this.#scratchPath = scratchPath
    this.#diskBytes = diskBytes
  }

  /** Tries it; undefined where it cannot be had. */
  static async open(scratchPath: string, diskBytes: number): Promise<DiskImages | undefined> {
    if (process.getuid?.() !== 0 || diskBytes < smallestBytes) return undefined
    const images = new DiskImages(scratchPath, diskBytes)
    const trial = join(scratchPath, 'trial')
    try {
      await mkdir(trial)
      await images.create(trial, { uid: 0, gid: 0 })
      return images
    } catch {
      return undefined
    } finally {
      await unmountDisk(trial).catch(() => {})
      await rm(trial, { recursive: true, force: true })
    }
  }

  /** Makes an agent's disk in its folder, and mounts it. The image tells whose it is; its mode lets nobody in. */
  async create(folder: string, { uid, gid }: HostUser): Promise<void> {
    const taken = this.#blank ?? this.#format()
    this.#blank = undefined // before anything is waited for: no two take the same
    this.#ahead.ask()
    const blank = await taken
    await chown(blank, uid, gid)
    await chmod(blank, 0)
    await rename(blank, join(folder, imageName))
    await mkdir(join(folder, mountName))
    await mountDisk(folder)
    await rmdir(join(folder, mountName, 'lost+found'))
    await chmod(join(folder, mountName), 0o711)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ahead.cancel()
    const blank = await this.#blank?.catch(() => undefined)
    if (blank !== undefined) await rm(blank, { force: true })
  }

  async #format(): Promise<string> {
    const path = join(this.#scratchPath, `blank-${randomUUID()}`)
    await writeFile(path, '', { mode: 0o600 })
    await truncate(path, this.#diskBytes)
    const format = ['-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,nodiscard', path]
    await run('mkfs.ext4', format, tools)
    return path
  }
}

/** Less has no room for a journal and the files of anybody. */
const smallestBytes = 16 * 1024 * 1024

/** Where an agent's files are: on its disk, where it has one. */
export async function filesPath(folder: string): Promise<string> {
  return (await hasDisk(folder)) ? join(folder, mountName) : folder
}

/** Whose files are in an agent's folder; undefined where there are none. A disk need not be mounted for it. */
export async function userOfFiles(folder: string): Promise<HostUser | undefined> {
  const found = await stat(join(folder, (await hasDisk(folder)) ? imageName : 'workspace')).catch(() => undefined)
  return found && { uid: found.uid, gid: found.gid }
}

/** Mounts an agent's disk where it has one that is not mounted. */
export async function mountDisk(folder: string): Promise<void> {
  await inTurn(folder, async () => {
    if (!(await hasDisk(folder)) || (await isMounted(folder))) return
    // What is deleted inside is given back, so that the file takes what its files take.
    const options = 'loop,nosuid,nodev,noatime,discard'
    await run('mount', ['-t', 'ext4', '-o', options, join(folder, imageName), join(folder, mountName)], tools)
  })
}

/** Nothing of the agent may run. */
export async function unmountDisk(folder: string): Promise<void> {
  await inTurn(folder, async () => {
    if (await isMounted(folder)) await unmount(join(folder, mountName))
  })
}

/** The last change of each folder: what is mounted must not be mounted again meanwhile. */
const turns = new Map<string, Promise<void>>()

async function inTurn(folder: string, work: () => Promise<void>): Promise<void> {
  const before = turns.get(folder)
  const turn = (async () => {
    await before?.catch(() => {})
    await work()
  })()
  turns.set(folder, turn)
  try {
    await turn
  } finally {
    if (turns.get(folder) === turn) turns.delete(folder)
  }
}

/** Unmounts what a killed server has left mounted below a folder. */
export async function unmountBelow(folder: string): Promise<void> {
  const paths = (await mountPoints()).filter((path) => path.startsWith(`${folder}/`))
  for (const path of paths.toReversed()) {
    await unmount(path).catch(async (error: unknown) => {
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

async function unmount(path: string): Promise<void> {
  // Lazily where something still has it open for a moment, e.g. a `du` that measures.
  await run('umount', [path], tools).catch(() => run('umount', ['--lazy', path], tools))
}

async function hasDisk(folder: string): Promise<boolean> {
  return (await stat(join(folder, imageName)).catch(() => undefined)) !== undefined
}

/** A mounted folder is on another device than the one it is in. */
async function isMounted(folder: string): Promise<boolean> {
  const [outer, inner] = await Promise.all([
    stat(folder).catch(() => undefined),
    stat(join(folder, mountName)).catch(() => undefined),
  ])
  return outer !== undefined && inner !== undefined && outer.dev !== inner.dev
}
