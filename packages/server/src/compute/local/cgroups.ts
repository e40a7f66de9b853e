/**
 * Limits memory, processes and CPU time, and freezes processes, by control groups (cgroups(7)). Each controller is used in
 * version 2 if that is available, and otherwise in version 1.
 *
 * @module
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Limits of one sandbox. */
export interface CgroupLimits {
  memoryBytes: number
  processes: number
  cpus: number
}

const controllers = ['memory', 'pids', 'cpu', 'freezer'] as const
type Controller = (typeof controllers)[number]

/** The folder in which the groups of a controller are created. */
interface Hierarchy {
  version: 1 | 2
  path: string
}

const periodUs = 100_000
const folderName = 'theazo'

/** The file with the folders of a server's groups, one per line. A later server removes them if this one is killed. */
export const cgroupsFile = 'cgroups'

/** The groups of one server. */
export class Cgroups {
  readonly #hierarchies: ReadonlyMap<Controller, Hierarchy>

  private constructor(hierarchies: ReadonlyMap<Controller, Hierarchy>) {
    this.#hierarchies = hierarchies
  }

  /** Creates groups below those of this process, so that the limits of the server also apply to its sandboxes. A controller whose group cannot be created limits nothing. */
  static async open(name: string): Promise<Cgroups> {
    const found = new Map<Controller, Hierarchy>()
    for (const { version, path, offered } of await ownGroups()) {
      const parent = join(path, folderName, name)
      const usable = await makeParent(version, path, parent, offered)
      for (const controller of usable) {
        // Version 2 comes first in the list: it can also kill frozen processes.
        if (!found.has(controller)) found.set(controller, { version, path: parent })
      }
    }
    return new Cgroups(found)
  }

  /** The version of control groups that is used for a controller; undefined if there is none. */
  versionOf(controller: Controller): 1 | 2 | undefined {
    return this.#hierarchies.get(controller)?.version
  }

  /** Whether the buffers of TCP and UDP are counted. */
  get hasSocketMemory(): boolean {
    const memory = this.#hierarchies.get('memory')
    return memory?.version === 2 || (memory !== undefined && existsSync(join(memory.path, socketLimit)))
  }

  /** Folders of this server's groups. A later server must remove them if this one is killed. */
  get paths(): string[] {
    return Array.from(new Set(Array.from(this.#hierarchies.values(), ({ path }) => path)))
  }

  async create(name: string, limits: CgroupLimits): Promise<Cgroup> {
    const groups = new Map<Controller, Hierarchy>()
    for (const [controller, { version, path }] of this.#hierarchies) {
      groups.set(controller, { version, path: join(path, name) })
    }
    for (const path of new Set(Array.from(groups.values(), (group) => group.path))) await mkdir(path)
    const cgroup = new Cgroup(groups)
    await cgroup.limit(limits)
    return cgroup
  }

  /** Removes the folders; the groups in them must be gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.paths) await rmdir(path).catch(() => {})
  }
}

/** Missing in kernels without `CONFIG_INET`, and in those without version 1. */
const socketLimit = 'memory.kmem.tcp.limit_in_bytes'
/** The limit of socket buffers as a share of the memory limit, in addition to it. */
const socketShare = 1 / 8

/** The groups of one sandbox. */
export class Cgroup {
  readonly #groups: ReadonlyMap<Controller, Hierarchy>
  /** Descriptor of the file in which the kernel counts kills. */
  #events: number | undefined
  readonly #text = Buffer.alloc(1024)
  #isRemoved = false

  constructor(groups: ReadonlyMap<Controller, Hierarchy>) {
    this.#groups = groups
  }

  /** Folders. To add a process and its later children, write its pid to `cgroup.procs` in each. */
  get paths(): string[] {
    return Array.from(new Set(Array.from(this.#groups.values(), ({ path }) => path)))
  }

  get canFreeze(): boolean {
    return this.#groups.has('freezer')
  }

  async limit({ memoryBytes, processes, cpus }: CgroupLimits): Promise<void> {
    const [memory, pids, cpu] = (['memory', 'pids', 'cpu'] as const).map((name) => this.#groups.get(name))
    if (memory?.version === 2) {
      await write(memory, 'memory.max', memoryBytes)
      await write(memory, 'memory.swap.max', 0).catch(() => {}) // a kernel without swap has no such file
    } else if (memory) {
      await write(memory, 'memory.limit_in_bytes', memoryBytes)
      await write(memory, 'memory.memsw.limit_in_bytes', memoryBytes).catch(() => {})
      // Version 1 counts the buffers of TCP and UDP separately, and only if they have a limit.
      await write(memory, socketLimit, Math.floor(memoryBytes * socketShare)).catch(() => {})
    }
    if (pids) await write(pids, 'pids.max', processes)
    const quotaUs = Math.round(cpus * periodUs)
    if (cpu?.version === 2) await write(cpu, 'cpu.max', `${quotaUs} ${periodUs}`)
    else if (cpu) {
      await write(cpu, 'cpu.cfs_period_us', periodUs)
      await write(cpu, 'cpu.cfs_quota_us', quotaUs)
    }
  }

  /** Freezes or unfreezes every process; resolves when that is done. */
  async freeze(isFrozen: boolean): Promise<void> {
    const group = this.#groups.get('freezer')
    if (!group) return
    if (group.version === 2) {
      await write(group, 'cgroup.freeze', isFrozen ? 1 : 0)
      await until(async () => new RegExp(`^frozen ${isFrozen ? 1 : 0}$`, 'm').test(await read(group, 'cgroup.events')))
    } else {
      await write(group, 'freezer.state', isFrozen ? 'FROZEN' : 'THAWED')
      await until(async () => (await read(group, 'freezer.state')).trim() === (isFrozen ? 'FROZEN' : 'THAWED'))
    }
  }

  /** How many processes were killed because memory ran out. */
  memoryKills(): number {
    const group = this.#groups.get('memory')
    if (!group || this.#isRemoved) return 0
    try {
      // Synchronous, and with a descriptor that stays open: it is called twice for each exec.
      const file = group.version === 2 ? 'memory.events' : 'memory.oom_control'
      this.#events ??= openSync(join(group.path, file), 'r')
      const size = readSync(this.#events, this.#text, 0, this.#text.length, 0)
      return Number(/^oom_kill (\d+)$/m.exec(this.#text.toString('latin1', 0, size))?.[1] ?? 0)
    } catch {
      return 0 // removed already
    }
  }

  /** Its processes must be gone; the kernel may need a moment for that. */
  async remove(): Promise<void> {
    this.#isRemoved = true
    if (this.#events !== undefined) closeSync(this.#events)
    this.#events = undefined
    for (const path of this.paths) await removeGroup(path)
  }
}

/** Kills the processes that a killed server has left in its groups, and removes the groups. */
export async function sweepCgroups(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const names = await readdir(path, { withFileTypes: true }).catch(() => [])
    for (const entry of names.filter((found) => found.isDirectory())) {
      const group = join(path, entry.name)
      for (const [file, value] of [
        ['freezer.state', 'THAWED'],
        ['cgroup.freeze', '0'],
      ] as const) {
        await writeFile(join(group, file), value).catch(() => {}) // only one of the two exists
      }
      await until(async () => {
        const pids = (await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n').filter(Boolean)
        for (const pid of pids) kill(Number(pid))
        return pids.length === 0
      })
      await removeGroup(group)
    }
    await rmdir(path).catch(() => {})
    await rmdir(dirname(path)).catch(() => {}) // fails if another server has groups in it
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {} // it has ended
}

async function removeGroup(path: string): Promise<void> {
  await until(async () => {
    const error = await rmdir(path).catch((thrown: NodeJS.ErrnoException) => thrown)
    return !error || error.code === 'ENOENT'
  })
}

const timeoutMs = 5_000

/** Polls until it is true, for a limited time; the kernel has no event for it. */
async function until(isDone: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + timeoutMs
  for (let waitMs = 0; !(await isDone()); waitMs = Math.min(waitMs + 1, 20)) {
    if (performance.now() > end) throw new Error('a control group did not change within 5 s')
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

interface OwnGroup extends Hierarchy {
  offered: readonly Controller[]
}

/** The groups that this process is in, of each mounted hierarchy; version 2 first. */
async function ownGroups(): Promise<OwnGroup[]> {
  const [mounts, memberships] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    readFile('/proc/self/cgroup', 'utf8'),
  ]).catch(() => ['', ''])
  const groups: OwnGroup[] = []
  for (const line of mounts.split('\n')) {
    const [, , , root = '', mountPoint = '', ...rest] = line.split(' ')
    const [type, , options = ''] = rest.slice(rest.indexOf('-') + 1)
    if (type !== 'cgroup' && type !== 'cgroup2') continue
    const offered = type === 'cgroup2' ? [] : controllers.filter((name) => options.split(',').includes(name))
    if (type === 'cgroup' && offered.length === 0) continue
    const own = memberships
      .split('\n')
      .map((entry) => entry.split(':'))
      .find(([id, names]) => {
        return type === 'cgroup2' ? id === '0' : offered.some((name) => names?.split(',').includes(name))
      })
    const inside = own?.slice(2).join(':') ?? '/'
    const path = join(mountPoint, root === '/' ? inside : inside.replace(root, ''))
    groups.push({ version: type === 'cgroup2' ? 2 : 1, path, offered })
  }
  return groups.toSorted((a, b) => b.version - a.version)
}

/** Creates the folder of a server's groups. @returns the controllers that groups in it have. */
async function makeParent(
  version: 1 | 2,
  own: string,
  parent: string,
  offered: readonly Controller[],
): Promise<readonly Controller[]> {
  try {
    await mkdir(parent, { recursive: true })
    if (version === 1) return offered
    // Each level must enable the controllers for its children. Except for the root, a group with processes cannot do so.
    for (const path of [own, dirname(parent), parent]) {
      const available = (await readFile(join(path, 'cgroup.controllers'), 'utf8')).split(/\s+/)
      const wanted = ['memory', 'pids', 'cpu'].filter((name) => available.includes(name)).map((name) => `+${name}`)
      if (wanted.length > 0) await writeFile(join(path, 'cgroup.subtree_control'), wanted.join(' ')).catch(() => {})
    }
    const enabled = (await readFile(join(parent, 'cgroup.subtree_control'), 'utf8')).split(/\s+/)
    const canFreeze = await hasFreeze(parent)
    return controllers.filter((name) => (name === 'freezer' ? canFreeze : enabled.includes(name)))
  } catch {
    return [] // no permission to write
  }
}

async function hasFreeze(path: string): Promise<boolean> {
  return (await readdir(path)).includes('cgroup.freeze')
}

async function write({ path }: Hierarchy, file: string, value: string | number): Promise<void> {
  await writeFile(join(path, file), String(value))
}

async function read({ path }: Hierarchy, file: string): Promise<string> {
  return await readFile(join(path, file), 'utf8')
}
