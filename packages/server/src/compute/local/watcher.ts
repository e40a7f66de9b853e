import { readFile, statfs } from 'node:fs/promises'
import { filesPath } from './disk-images.ts'
import { type HostProcess, shareBytes } from './host-processes.ts'
import type { LocalHost } from './local-host.ts'
import type { LocalSandbox } from './local-sandbox.ts'
import { locksByPid } from './record-locks.ts'
import { sizeOfTree } from './size-of-tree.ts'

/** From the end of one look to the next: what goes beyond a limit is ended within two seconds. */
const lookMs = 500

/** Sockets of one sandbox: each can hold some memory that nothing counts, e.g. in its queue of errors. */
const maxSockets = 8192
/** Record locks of one sandbox: each takes some 200 bytes of the kernel. */
const maxLocks = 10_000
/** Of its memory, that messages of netlink may take. */
const netlinkShare = 1 / 8

/**
 * Holds the limits that nothing else holds on this machine: disk, memory if no control group does, and what no control
 * group counts of sockets.
 */
export class Watcher {
  readonly #host: LocalHost
  readonly #sandboxes: () => Iterable<LocalSandbox>
  readonly #holdsMemory: boolean
  /** Bytes at the last look, of those that were over. */
  readonly #over = new WeakMap<LocalSandbox, number>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(host: LocalHost, sandboxes: () => Iterable<LocalSandbox>) {
    this.#host = host
    this.#sandboxes = sandboxes
    this.#holdsMemory = host.cgroups.versionOf('memory') === undefined
  }

  start(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#looking = this.#look()
        .catch(this.#host.onError)
        .finally(() => this.start())
    }, lookMs).unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#looking
  }

  async #look(): Promise<void> {
    for (const sandbox of this.#sandboxes()) {
      if (this.#isClosed) return
      await this.#lookAt(sandbox)
    }
    await this.#lookAtLocks()
  }

  /** One list for the machine: whose they are is asked only if they are many. */
  async #lookAtLocks(): Promise<void> {
    const locks = await locksByPid()
    if ([...locks.values()].reduce((sum, count) => sum + count, 0) <= maxLocks) return
    for (const sandbox of this.#sandboxes()) {
      const running = await sandbox.running?.catch(() => undefined)
      const pids = (await running?.codeProcesses()) ?? []
      const held = pids.reduce((sum, { pid }) => sum + (locks.get(pid) ?? 0), 0)
      if (held > maxLocks) await running?.endCode('locks')
    }
  }

  async #lookAt(sandbox: LocalSandbox): Promise<void> {
    const hasDisk = (await filesPath(sandbox.path)) !== sandbox.path
    const running = await sandbox.running?.catch(() => undefined)
    if (!running || running.isFrozen) return
    const { sockets, netlinkBytes } = await socketsOf(running.firstPid)
    if (sockets > maxSockets || netlinkBytes > this.#host.settings.memoryBytes * netlinkShare) {
      await running.endCode('sockets')
    }
    if (hasDisk && !this.#holdsMemory) return
    const processes = await running.codeProcesses()
    if (processes.length === 0) return
    const { memoryBytes, diskBytes } = this.#host.settings
    if (this.#holdsMemory && (await bytesOf(processes, memoryBytes)) > memoryBytes) {
      return await running.endCode('memory')
    }
    if (hasDisk) return
    const bytes = (await sizeOfTree(this.#host.launcher.run, sandbox.path).catch(() => undefined)) ?? 0
    const before = this.#over.get(sandbox)
    if (bytes <= diskBytes) {
      this.#over.delete(sandbox)
      return
    }
    this.#over.set(sandbox, bytes)
    // Code that makes room is let go on.
    if (before === undefined || bytes > before) await running.endCode('disk')
  }
}

/** Of the network namespace of a process, closed ones included that still have something to send. */
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

/** Memory of processes, and of /tmp and /dev/shm as they see them. More than it is, as long as that is within the limit. */
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
