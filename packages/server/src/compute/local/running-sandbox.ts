import type { ExecOutcome, ExecRequest, OutputSink } from '../compute-provider.ts'
import type { SandboxFolders } from './bubblewrap-options.ts'
import type { Cgroup } from './cgroups.ts'
import { cpuEnvironment } from './cpu-view.ts'
import { childrenOf, type HostProcess, processesBelow, signalProcess } from './host-processes.ts'
import type { HostUser } from './host-uid.ts'
import type { LocalHost } from './local-host.ts'
import { spareProcesses } from './own-limits.ts'
import { startSandbox } from './start-sandbox.ts'
import { Supervisor } from './supervisor.ts'

const excesses = ['memory', 'disk', 'sockets', 'locks'] as const
/** A limit that was reached, as code is told of it. */
export type Excess = (typeof excesses)[number]

/** The processes of one sandbox, from their start to their end, with their limits. */
export class RunningSandbox {
  /** Resolves when all of it is gone. */
  readonly ended: Promise<void>
  readonly #supervisor: Supervisor
  readonly #cgroup: Cgroup
  readonly #host: LocalHost
  readonly #killedFor: Record<Excess, number> = { memory: 0, disk: 0, sockets: 0, locks: 0 }
  #isFrozen = false

  private constructor(supervisor: Supervisor, cgroup: Cgroup, host: LocalHost) {
    this.#supervisor = supervisor
    this.#cgroup = cgroup
    this.#host = host
    this.ended = supervisor.ended.then(() => cgroup.remove()).catch(host.onError)
  }

  /** @throws {SandboxStartError} where it does not come up; the signal's reason, after everything was killed. */
  static async start(
    host: LocalHost,
    user: HostUser,
    folders: SandboxFolders,
    signal: AbortSignal,
  ): Promise<RunningSandbox> {
    const { settings, cgroups } = host
    const cgroup = await cgroups.create(host.nextName(), {
      ...settings,
      processes: settings.maxProcesses + spareProcesses,
    })
    try {
      const command = ['/usr/bin/python3', '-S', '-s', '/opt/theazo/supervisor.pyc'].concat(
        String(settings.warmProcesses),
        String(settings.warmNodes),
        String(settings.warmNodeMs / 1000),
        String(settings.maxOpenFiles),
        String(settings.maxProcesses),
        String(settings.diskBytes),
        nodeFlags,
      )
      const sandbox = await startSandbox(host, { user, folders, command, cgroup })
      const supervisor = new Supervisor(sandbox, { ...cpuEnvironment(settings.cpus), ...settings.env })
      const running = new RunningSandbox(supervisor, cgroup, host)
      const kill = (): void => void supervisor.kill('It was ended while it started.')
      signal.addEventListener('abort', kill, { once: true })
      if (signal.aborted) kill()
      try {
        await supervisor.ready()
        return running
      } catch (error) {
        await running.ended
        throw signal.aborted ? signal.reason : error
      } finally {
        signal.removeEventListener('abort', kill)
      }
    } catch (error) {
      await cgroup.remove().catch(host.onError) // where not even a process could be had
      throw error
    }
  }

  /** Nothing begins in it any more. */
  get isLost(): boolean {
    return this.#supervisor.isLost
  }

  get isFrozen(): boolean {
    return this.#isFrozen
  }

  /** The host's pid of its pid 1. */
  get firstPid(): number | undefined {
    return this.#supervisor.firstPid
  }

  /** See `Sandbox.exec`. */
  async exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome> {
    const before = this.#kills()
    const compiled = request.lang === 'typescript' ? await this.#host.typescript.compile(request.code, this) : undefined
    const outcome = await this.#supervisor.exec(request, sink, signal, compiled)
    const after = this.#kills()
    for (const excess of excesses) {
      if (after[excess] > before[excess]) sink.stderr(Buffer.from(this.#note(excess)))
    }
    return outcome
  }

  /** Stops every process where it is, or lets it go on. */
  async freeze(isFrozen: boolean): Promise<void> {
    if (this.#isFrozen === isFrozen) return
    if (this.#cgroup.canFreeze) await this.#cgroup.freeze(isFrozen)
    else await this.#signalAll(isFrozen ? 'SIGSTOP' : 'SIGCONT')
    this.#isFrozen = isFrozen
  }

  /** Ends all code, because it has taken too much; the sandbox stays. */
  async endCode(excess: Excess): Promise<void> {
    this.#killedFor[excess] += 1
    for (const { pid } of await this.codeProcesses()) signalProcess(pid, 'SIGKILL')
  }

  /** What runs below the supervisor's own processes. */
  async codeProcesses(): Promise<HostProcess[]> {
    const found: HostProcess[] = []
    for (const reaper of await childrenOf(this.firstPid)) found.push(...(await processesBelow(reaper)))
    return found
  }

  /** Kills everything; execs under way reject. */
  async kill(reason: string): Promise<void> {
    await this.freeze(false).catch(() => {}) // what is frozen by version 1 dies only when it thaws
    await this.#supervisor.kill(reason)
    await this.ended
  }

  #kills(): Record<Excess, number> {
    return { ...this.#killedFor, memory: this.#killedFor.memory + this.#cgroup.memoryKills() }
  }

  #note(excess: Excess): string {
    const { memoryBytes, diskBytes } = this.#host.settings
    const what = {
      memory: `ran out of memory (limit ${mebibytes(memoryBytes)})`,
      disk: `has filled its disk (limit ${mebibytes(diskBytes)})`,
      sockets: 'has too many sockets, or too much in them',
      locks: 'holds too many locks of files',
    }
    return `\nThe sandbox ${what[excess]}, so a process of it was killed.\n`
  }

  /** Again until there is nothing new: what is stopped makes no more. */
  async #signalAll(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const { firstPid } = this
    if (firstPid === undefined) return
    const known = new Set<number>()
    for (let isNew = true; isNew;) {
      const found = [firstPid, ...(await processesBelow(firstPid)).map(({ pid }) => pid)]
      const fresh = found.filter((pid) => !known.has(pid))
      for (const pid of fresh) {
        known.add(pid)
        signalProcess(pid, signal)
      }
      isNew = fresh.length > 0
    }
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}

/** Enums and namespaces need more than stripping; Node's transform mode has it, where this Node still offers the mode. */
const nodeFlags = [
  ['--experimental-transform-types', '--disable-warning=ExperimentalWarning'],
  // Or one exec could open the inspector of a node that waits for another's code.
  ['--disable-sigusr1'],
].flatMap((flags) => (flags.every((flag) => allows(flag.split('=')[0] ?? flag)) ? flags : []))

function allows(flag: string): boolean {
  return process.allowedNodeEnvironmentFlags.has(flag)
}
