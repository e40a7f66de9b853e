/**
 * Limits of memory, processes and CPU time, and the freezer, by control groups: version 2 where its controllers can be
 * had, else version 1, each controller by itself (cgroups(7)).
 *
 * @module
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** What one sandbox may use. */
export interface CgroupLimits {
  memoryBytes: number
  processes: number
  cpus: number
}

const controllers = ['memory', 'pids', 'cpu', 'freezer'] as const
type Controller = (typeof controllers)[number]

/** Where groups are made for a controller. */
interface Hierarchy {
  version: 1 | 2
  path: string
}

const periodUs = 100_000
const folderName = 'theazo'

/** Where a server keeps the names of its groups' folders, a line each, for who sweeps up after it. */
export const cgroupsFile = 'cgroups'

/** The groups of one server. */
export class Cgroups {
  readonly #hierarchies: ReadonlyMap<Controller, Hierarchy>

  private constructor(hierarchies: ReadonlyMap<Controller, Hierarchy>) {
    this.#hierarchies = hierarchies
  }

  /** Below the groups that this process is in, so that what bounds the server bounds its sandboxes too. Nothing holds where none can be made. */
  static async open(name: string): Promise<Cgroups> {
    const found = new Map<Controller, Hierarchy>()
    for (const { version, path, offered } of await ownGroups()) {
      const parent = join(path, folderName, name)
      const usable = await makeParent(version, path, parent, offered)
      for (const controller of usable) {
        // Version 2 comes first in the list: it kills what is frozen, too.
        if (!found.has(controller)) found.set(controller, { version, path: parent })
      }
    }
    return new Cgroups(found)
  }

  /** The version that holds a controller; undefined where none does. */
  versionOf(controller: Controller): 1 | 2 | undefined {
    return this.#hierarchies.get(controller)?.version
  }

  /** Whether what TCP and UDP hold is counted. */
  get hasSocketMemory(): boolean {
    const memory = this.#hierarchies.get('memory')
    return memory?.version === 2 || (memory !== undefined && existsSync(join(memory.path, socketLimit)))
  }

  /** Folders of this server's groups: what a later server must remove should this one be killed. */
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

/** Not in kernels without `CONFIG_INET`, or that have taken version 1 away. */
const socketLimit = 'memory.kmem.tcp.limit_in_bytes'
/** Of the memory, and beyond it. */
const socketShare = 1 / 8

/** One sandbox's. */
export class Cgroup {
  readonly #groups: ReadonlyMap<Controller, Hierarchy>
  /** Open where the kernel counts kills; what it said last. */
  #events: number | undefined
  readonly #text = Buffer.alloc(1024)
  #isRemoved = false

  constructor(groups: ReadonlyMap<Controller, Hierarchy>) {
    this.#groups = groups
  }

  /** Folders; a process whose pid is written to `cgroup.procs` in each is taken in, with what it starts from then on. */
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
      // The buffers of TCP and UDP, which version 1 counts apart, and only once they have a limit.
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

  /** Stops every process where it is, or lets it go on; resolves when that is so. */
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

  /** How many processes were killed for want of memory. */
  memoryKills(): number {
    const group = this.#groups.get('memory')
    if (!group || this.#isRemoved) return 0
    try {
      // At once, and by a descriptor that stays open: it is asked twice an exec.
      const file = group.version === 2 ? 'memory.events' : 'memory.oom_control'
      this.#events ??= openSync(join(group.path, file), 'r')
      const size = readSync(this.#events, this.#text, 0, this.#text.length, 0)
      return Number(/^oom_kill (\d+)$/m.exec(this.#text.toString('latin1', 0, size))?.[1] ?? 0)
    } catch {
      return 0 // removed already
    }
  }

  /** Its processes must be gone; the kernel may take a moment to notice. */
  async remove(): Promise<void> {
    this.#isRemoved = true
    if (this.#events !== undefined) closeSync(this.#events)
    this.#events = undefined
    for (const path of this.paths) await removeGroup(path)
  }
}

/** Ends what a killed server has left in its groups, and removes them. */
export async function sweepCgroups(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const names = await readdir(path, { withFileTypes: true }).catch(() => [])
    for (const entry of names.filter((found) => found.isDirectory())) {
      const group = join(path, entry.name)
      for (const [file, value] of [
        ['freezer.state', 'THAWED'],
        ['cgroup.freeze', '0'],
      ] as const) {
        await writeFile(join(group, file), value).catch(() => {}) // one of them is there
      }
      await until(async () => {
        const pids = (await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n').filter(Boolean)
        for (const pid of pids) kill(Number(pid))
        return pids.length === 0
      })
      await removeGroup(group)
    }
    await rmdir(path).catch(() => {})
    await rmdir(dirname(path)).catch(() => {}) // not empty: another server's
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {} // gone meanwhile
}

async function removeGroup(path: string): Promise<void> {
  await until(async () => {
    const error = await rmdir(path).catch((thrown: NodeJS.ErrnoException) => thrown)
    return !error || error.code === 'ENOENT'
  })
}

const patienceMs = 5_000

/** Asks again and again, for a while; the kernel has no event for these. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + patienceMs
  for (let waitMs = 0; !(await isSo()); waitMs = Math.min(waitMs + 1, 20)) {
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

/** Makes the folder of a server's groups. @returns the controllers that groups in it have. */
async function makeParent(
  version: 1 | 2,
  own: string,
  parent: string,
  offered: readonly Controller[],
): Promise<readonly Controller[]> {
  try {
    await mkdir(parent, { recursive: true })
    if (version === 1) return offered
    // Each level must hand its controllers down; one with processes of its own cannot, but the root of them all.
    for (const path of [own, dirname(parent), parent]) {
      const there = (await readFile(join(path, 'cgroup.controllers'), 'utf8')).split(/\s+/)
      const wanted = ['memory', 'pids', 'cpu'].filter((name) => there.includes(name)).map((name) => `+${name}`)
      if (wanted.length > 0) await writeFile(join(path, 'cgroup.subtree_control'), wanted.join(' ')).catch(() => {})
    }
    const enabled = (await readFile(join(parent, 'cgroup.subtree_control'), 'utf8')).split(/\s+/)
    const canFreeze = await hasFreeze(parent)
    return controllers.filter((name) => (name === 'freezer' ? canFreeze : enabled.includes(name)))
  } catch {
    return [] // not ours to write
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
