import type { ExecOutcome, ExecRequest, OutputSink } from '../compute-provider.ts'
import type { SandboxFolders } from './bubblewrap-options.ts'
import type { Cgroup } from './cgroups.ts'
import { cpuEnvironment } from './cpu-view.ts'
import { childrenOf, type HostProcess, processesBelow, signalProcess } from './host-processes.ts'
import type { HostUser } from './host-uid.ts'
import type { LocalHost } from './local-host.ts'
import { spareProcesses } from './server-limits.ts'
import { startSandbox } from './start-sandbox.ts'
import { Supervisor } from './supervisor.ts'

const excesses = ['memory', 'disk', 'sockets', 'locks'] as const
/** A limit that code has exceeded. */
export type Excess = (typeof excesses)[number]

/** The processes of one sandbox, from their start to their end, and their limits. */
export class RunningSandbox {
  /** Resolves when all processes are gone. */
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

  /**
   * Starts the processes.
   *
   * @throws {SandboxStartError} if they do not start.
   * @throws the signal's reason if the signal fires; every process is gone by then.
   */
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
      const kill = (): void => void supervisor.kill('The sandbox was ended while it started.')
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
      await cgroup.remove().catch(host.onError) // for the case that no process was started
      throw error
    }
  }

  /** True if it accepts no more execs. */
  get isLost(): boolean {
    return this.#supervisor.isLost
  }

  get isFrozen(): boolean {
    return this.#isFrozen
  }

  /** The pid on the host of its pid 1. */
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

  /** Freezes or unfreezes every process. */
  async freeze(isFrozen: boolean): Promise<void> {
    if (this.#isFrozen === isFrozen) return
    if (this.#cgroup.canFreeze) await this.#cgroup.freeze(isFrozen)
    else await this.#signalAll(isFrozen ? 'SIGSTOP' : 'SIGCONT')
    this.#isFrozen = isFrozen
  }

  /** Kills all code because it has exceeded a limit; the sandbox stays. */
  async killCode(excess: Excess): Promise<void> {
    this.#killedFor[excess] += 1
    for (const { pid } of await this.codeProcesses()) signalProcess(pid, 'SIGKILL')
  }

  /** The processes of code: those below the reapers. */
  async codeProcesses(): Promise<HostProcess[]> {
    const found: HostProcess[] = []
    for (const reaper of await childrenOf(this.firstPid)) found.push(...(await processesBelow(reaper)))
    return found
  }

  /** Kills everything; running execs reject. */
  async kill(reason: string): Promise<void> {
    await this.freeze(false).catch(() => {}) // cgroups of version 1: frozen processes die only when they are unfrozen
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
      sockets: 'has too many sockets, or too much data in them',
      locks: 'has too many file locks',
    }
    return `\nThe sandbox ${what[excess]}, so one of its processes was killed.\n`
  }

  /** Repeats until there is no new process: a stopped process cannot fork. */
  async #signalAll(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const { firstPid } = this
    if (firstPid === undefined) return
    const known = new Set<number>()
    for (let isNew = true; isNew;) {
      const found = [firstPid, ...(await processesBelow(firstPid)).map(({ pid }) => pid)]
      const added = found.filter((pid) => !known.has(pid))
      for (const pid of added) {
        known.add(pid)
        signalProcess(pid, signal)
      }
      isNew = added.length > 0
    }
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}

/** Flags that this version of Node supports. Enums and namespaces need the transform mode: types cannot just be stripped. */
const nodeFlags = [
  ['--experimental-transform-types', '--disable-warning=ExperimentalWarning'],
  // Otherwise one exec could open the inspector of the warm Node process of another exec.
  ['--disable-sigusr1'],
].flatMap((flags) => (flags.every((flag) => allows(flag.split('=')[0] ?? flag)) ? flags : []))

function allows(flag: string): boolean {
  return process.allowedNodeEnvironmentFlags.has(flag)
}
