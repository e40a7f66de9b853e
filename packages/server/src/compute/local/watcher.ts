import { readFile, statfs } from 'node:fs/promises'
import { filesPath } from './disk-images.ts'
import { type HostProcess, shareBytes } from './host-processes.ts'
import type { LocalHost } from './local-host.ts'
import type { LocalSandbox } from './local-sandbox.ts'
import { locksByPid } from './record-locks.ts'
import { sizeOfTree } from './size-of-tree.ts'

/** Between two checks. Code that exceeds a limit is killed within two seconds. */
const checkMs = 500

/** Sockets of one sandbox: each can use some memory that no control group counts, e.g. in its error queue. */
const maxSockets = 8192
/** Record locks of one sandbox: each uses about 200 bytes of kernel memory. */
const maxLocks = 10_000
/** The share of a sandbox's memory that netlink messages may use. */
const netlinkShare = 1 / 8

/**
 * Enforces the limits that nothing else enforces on this machine: disk, memory if no control group limits it, and the
 * resources of sockets and locks that no control group counts.
 */
export class Watcher {
  readonly #host: LocalHost
  readonly #sandboxes: () => Iterable<LocalSandbox>
  readonly #watchesMemory: boolean
  /** Size at the last check, of the sandboxes that exceeded the disk limit. */
  readonly #over = new WeakMap<LocalSandbox, number>()
  #timer: NodeJS.Timeout | undefined
  #checking: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(host: LocalHost, sandboxes: () => Iterable<LocalSandbox>) {
    this.#host = host
    this.#sandboxes = sandboxes
    this.#watchesMemory = host.cgroups.versionOf('memory') === undefined
  }

  start(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#checking = this.#checkAll()
        .catch(this.#host.onError)
        .finally(() => this.start())
    }, checkMs).unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#checking
  }

  async #checkAll(): Promise<void> {
    for (const sandbox of this.#sandboxes()) {
      if (this.#isClosed) return
      await this.#checkSandbox(sandbox)
    }
    await this.#checkLocks()
  }

  /** The list is for the whole machine: processes are assigned to sandboxes only if there are many locks. */
  async #checkLocks(): Promise<void> {
    const locks = await locksByPid()
    if ([...locks.values()].reduce((sum, count) => sum + count, 0) <= maxLocks) return
    for (const sandbox of this.#sandboxes()) {
      const running = await sandbox.running?.catch(() => undefined)
      const pids = (await running?.codeProcesses()) ?? []
      const lockCount = pids.reduce((sum, { pid }) => sum + (locks.get(pid) ?? 0), 0)
      if (lockCount > maxLocks) await running?.killCode('locks')
    }
  }

  async #checkSandbox(sandbox: LocalSandbox): Promise<void> {
    const hasDisk = (await filesPath(sandbox.path)) !== sandbox.path
    const running = await sandbox.running?.catch(() => undefined)
    if (!running || running.isFrozen) return
    const { sockets, netlinkBytes } = await socketsOf(running.firstPid)
    if (sockets > maxSockets || netlinkBytes > this.#host.settings.memoryBytes * netlinkShare) {
      await running.killCode('sockets')
    }
    if (hasDisk && !this.#watchesMemory) return
    const processes = await running.codeProcesses()
    if (processes.length === 0) return
    const { memoryBytes, diskBytes } = this.#host.settings
    if (this.#watchesMemory && (await bytesOf(processes, memoryBytes)) > memoryBytes) {
      return await running.killCode('memory')
    }
    if (hasDisk) return
    const bytes = (await sizeOfTree(this.#host.launcher.run, sandbox.path).catch(() => undefined)) ?? 0
    const before = this.#over.get(sandbox)
    if (bytes <= diskBytes) {
      this.#over.delete(sandbox)
      return
    }
    this.#over.set(sandbox, bytes)
    // Code that is freeing space may continue.
    if (before === undefined || bytes > before) await running.killCode('disk')
  }
}

/** Counts the sockets of the network namespace of a process, including closed sockets that still have data to send. */
async function socketsOf(pid: number | undefined): Promise<{ sockets: number; netlinkBytes: number }> {
  const network = `/proc/${pid}/net`
  const [count, netlink] = await Promise.all(
    ['sockstat', 'netlink'].map(async (name) => await readFile(`${network}/${name}`, 'utf8').catch(() => '')),
  )
  const lines = netlink?.split('\n').slice(1) ?? []
  return {
    sockets: Number(/^sockets: used (\d+)$/m.exec(count ?? '')?.[1] ?? 0),
    // sk, Eth, Pid, Groups, Rmem, Wmem, …
    netlinkBytes: lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[4] ?? 0), 0),
  }
}

/** Memory of processes, and of their /tmp and /dev/shm. It is an upper bound if that is within the limit, and exact otherwise. */
async function bytesOf(processes: readonly HostProcess[], limitBytes: number): Promise<number> {
  let inFiles = 0
  for (const folder of ['tmp', 'dev/shm']) {
    const found = await statfs(`/proc/${processes[0]?.pid}/root/${folder}`).catch(() => undefined)
    inFiles += found ? (found.blocks - found.bfree) * found.bsize : 0
  }
  const atMost = processes.reduce((sum, { residentBytes }) => sum + residentBytes, inFiles)
  if (atMost <= limitBytes) return atMost
  const shares = await Promise.all(processes.map(shareBytes))
  return shares.reduce((sum, share) => sum + share, inFiles)
}
