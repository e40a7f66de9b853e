import { randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { SandboxStartError, SetupError } from '../../errors.ts'
import { FairQueue } from '../../fair-queue.ts'
import type { ComputeProvider, Sandbox, SandboxSpec } from '../compute-provider.ts'
import { Cgroups, cgroupsFile } from './cgroups.ts'
import { DiskImages, removeFiles, sizeOfFiles, unmountBelow, userOfFiles } from './disk-images.ts'
import { Debounce } from './debounce.ts'
import { findBubblewrap } from './find-bubblewrap.ts'
import { type HostUser, type HostUserOf, hostUsers } from './host-uid.ts'
import { checkIsolation } from './isolation-check.ts'
import { Launcher } from './launcher.ts'
import type { AgentNetwork } from './agent-network.ts'
import type { EnforcedLimits, LocalHost, LocalProviderOptions } from './local-host.ts'
import { unassignedOwner, LocalSandbox } from './local-sandbox.ts'
import { sandboxSettings } from './sandbox-options.ts'
import { seccompProgram } from './seccomp.ts'
import { checkServerLimits } from './server-limits.ts'
import { supervisorFolder } from './supervisor-folder.ts'
import { TypeScriptCompiler } from './typescript/typescript-compiler.ts'
import { Watcher } from './watcher.ts'

/**
 * Creates the provider of sandboxes on this machine, which run in bubblewrap. Each agent has one sandbox.
 *
 * @throws {SetupError} if isolation does not work. There is no mode without isolation.
 */
export async function createLocalProvider(options: LocalProviderOptions): Promise<LocalProvider> {
  if (process.platform !== 'linux') {
    throw new SetupError(`The local sandbox needs Linux; this is ${process.platform}. Run the server in a Linux VM.`)
  }
  const settings = sandboxSettings(options.sandbox)
  await checkServerLimits(settings)
  const [bubblewrapPath, seccomp, userOf] = [await findBubblewrap(), seccompProgram(), await hostUsers()]
  const supervisorPath = await supervisorFolder(options.sharedPath, options.scratchPath)
  const launcher = new Launcher(options.scratchPath)
  const cgroups = await Cgroups.open(basename(dirname(options.scratchPath)))
  await writeFile(join(options.scratchPath, cgroupsFile), cgroups.paths.join('\n'))
  await unmountBelow(options.agentsPath) // left by a server that was killed
  const diskImages = settings.diskImages
    ? await DiskImages.open(launcher.run, options.scratchPath, settings.diskBytes)
    : undefined
  const typescript = new TypeScriptCompiler()
  const provider = new LocalProvider(
    { ...options, bubblewrapPath, seccomp, launcher, typescript, supervisorPath, settings, cgroups, diskImages },
    userOf,
  )
  await provider.begin().catch(async (cause: unknown) => {
    await provider[Symbol.asyncDispose]()
    throw new SetupError(cause instanceof Error ? cause.message : String(cause), { cause })
  })
  return provider
}

/** @see createLocalProvider */
export class LocalProvider implements ComputeProvider {
  readonly name = 'local'
  readonly hasNetwork = true
  readonly #host: LocalHost
  readonly #userOf: HostUserOf
  readonly #sandboxes = new Map<string, LocalSandbox>()
  /** Running sandboxes that are not assigned to an agent yet. */
  readonly #pool: Promise<LocalSandbox>[] = []
  /** The next sandbox, with its folders but without processes: creating its disk takes as long as starting them. */
  #nextFolders: Promise<LocalSandbox> | undefined
  readonly #refill = new Debounce(() => this.#refillPool())
  readonly #watcher: Watcher
  #lastNumber = 0
  #isClosed = false

  constructor(host: Omit<LocalHost, 'nextName' | 'forget' | 'starts'>, userOf: HostUserOf) {
    this.#host = {
      ...host,
      starts: new FairQueue(Math.max(4, 2 * availableParallelism())),
      nextName: () => `sandbox-${(this.#lastNumber += 1)}`,
      forget: (id) => this.#sandboxes.delete(id),
    }
    this.#userOf = userOf
    this.#watcher = new Watcher(this.#host, () => this.#sandboxes.values())
  }

  get waitingStarts(): number {
    return this.#host.starts.length
  }

  /** The mechanism that enforces each limit of sandboxes on this machine. */
  get limits(): EnforcedLimits {
    const { cgroups, diskImages, settings } = this.#host
    return {
      settings,
      memory: cgroups.versionOf('memory') ?? 'watcher',
      cpu: cgroups.versionOf('cpu') ?? 'nothing',
      processes: cgroups.versionOf('pids') ?? 'rlimit',
      freezer: cgroups.versionOf('freezer') ?? 'signals',
      hasSocketMemory: cgroups.hasSocketMemory,
      disk: diskImages ? 'image' : 'watcher',
    }
  }

  /** Starts one sandbox and checks its isolation from inside: a server that cannot isolate does not start. */
  async begin(): Promise<void> {
    const making = this.#make()
    const isForPool = this.#host.settings.poolSize > 0
    if (isForPool) this.#pool.push(making) // before the await, as #make schedules a refill
    const first = await making
    await checkIsolation(first, first.user)
    if (!isForPool) await first.terminate()
    this.#refillPool()
    this.#watcher.start()
  }

  async create({ id, project, network }: SandboxSpec): Promise<Sandbox> {
    try {
      // Sandboxes of the pool have no network access: its socket is bound in at the start.
      const pooled = network ? undefined : await this.#takeFromPool()
      const sandbox = pooled ?? (await this.#make(project, network && { agentId: id, ...network }))
      sandbox.project = project
      try {
        const temporaryId = sandbox.id
        this.#sandboxes.set(id, sandbox) // before its folder is renamed: prune removes unknown folders
        await sandbox.assignTo(id)
        this.#sandboxes.delete(temporaryId)
        return sandbox
      } catch (error) {
        await sandbox.terminate()
        this.#sandboxes.delete(id)
        throw error
      }
    } catch (error) {
      if (error instanceof SandboxStartError) throw error
      throw new SandboxStartError(`The sandbox did not start: ${String(error)}`, { cause: error })
    }
  }

  async attach({ id, project, network }: SandboxSpec): Promise<Sandbox | undefined> {
    const user = userOfFiles(join(this.#host.agentsPath, id))
    if (!user) {
      const known = this.#sandboxes.get(id)
      this.#sandboxes.delete(id)
      await known?.stop()
      return undefined
    }
    // No await before this: two concurrent calls must not create two objects for one agent.
    const sandbox = this.#sandboxes.get(id) ?? new LocalSandbox(id, this.#host, user)
    this.#sandboxes.set(id, sandbox)
    sandbox.network ??= network && { agentId: id, ...network }
    sandbox.project = project
    return sandbox
  }

  async sizeOf(id: string): Promise<number | undefined> {
    return await sizeOfFiles(this.#host.launcher.run, join(this.#host.agentsPath, id))
  }

  async writers(): Promise<string[]> {
    const found = await Promise.all(
      Array.from(this.#sandboxes.values(), async (sandbox) => {
        const running = await sandbox.running?.catch(() => undefined)
        if (!running || running.isFrozen) return []
        // With disk images a measurement is cheap. Without them it is a `du`, so the processes are checked first.
        const isWriter = this.#host.diskImages !== undefined || (await running.codeProcesses()).length > 0
        return isWriter ? [sandbox.id] : []
      }),
    )
    return found.flat()
  }

  async prune(isKnown: (id: string) => boolean): Promise<void> {
    const { agentsPath, launcher } = this.#host
    const unknown = (await readdir(agentsPath)).filter((id) => !isKnown(id) && !this.#sandboxes.has(id))
    for (const id of unknown) await removeFiles(launcher.run, join(agentsPath, id)).catch(this.#host.onError)
  }

  /** Kills all processes; agents' files stay for the next server on the same data folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#refill.cancel()
    await this.#watcher[Symbol.asyncDispose]()
    await Promise.all(Array.from(this.#sandboxes.values(), (sandbox) => sandbox.stop())) // including those of the pool
    const pool = await Promise.allSettled(this.#pool.splice(0))
    await Promise.all(pool.map((made) => (made.status === 'fulfilled' ? made.value.terminate() : undefined)))
    await (await this.#nextFolders?.catch(() => undefined))?.terminate()
    await unmountBelow(this.#host.agentsPath) // disks that were mounted only to be measured
    await this.#host.cgroups[Symbol.asyncDispose]()
    await this.#host.launcher[Symbol.asyncDispose]()
    await this.#host.typescript[Symbol.asyncDispose]()
  }

  /** Takes a sandbox from the pool, and schedules a refill. Undefined if the pool is empty, or the sandbox broke down. */
  async #takeFromPool(): Promise<LocalSandbox | undefined> {
    const sandbox = await this.#pool.shift()?.catch(() => undefined)
    this.#refill.schedule()
    if (!sandbox || sandbox.running) return sandbox
    await sandbox.terminate()
    return undefined
  }

  /** Runs in the background. It ignores errors: the creation of an agent meets the same error, and reports it. */
  #refillPool(): void {
    const { settings, starts } = this.#host
    if (starts.isBusy) return this.#refill.schedule() // it would delay the starts that wait
    const { poolSize } = settings
    while (!this.#isClosed && this.#pool.length < poolSize) {
      const making = this.#make()
      this.#pool.push(making)
      making.catch(() => {
        const index = this.#pool.indexOf(making)
        if (index >= 0) this.#pool.splice(index, 1)
      })
    }
    if (this.#isClosed || this.#nextFolders) return
    const making = this.#makeFolders()
    this.#nextFolders = making
    making.catch(() => {
      if (this.#nextFolders === making) this.#nextFolders = undefined
    })
  }

  /** A new id, and a uid that no other sandbox of this server has, if the server can use several uids. */
  #newIdentity(): { id: string; user: HostUser } {
    for (let tries = 0; ; tries += 1) {
      const id = `made-${randomBytes(12).toString('hex')}`
      const user = this.#userOf(id)
      const isTaken = Array.from(this.#sandboxes.values()).some((sandbox) => sandbox.user.uid === user.uid)
      if (!isTaken || tries === 100 || process.getuid?.() !== 0) return { id, user }
    }
  }

  async #make(project?: string, network?: AgentNetwork): Promise<LocalSandbox> {
    const made = this.#nextFolders ?? this.#makeFolders(project)
    this.#nextFolders = undefined // before the await: no two calls may take the same
    this.#refill.schedule()
    const sandbox = await made
    sandbox.project = project
    sandbox.network = network
    try {
      await sandbox.start()
      return sandbox
    } catch (error) {
      await sandbox.terminate()
      throw error
    }
  }

  async #makeFolders(project = unassignedOwner): Promise<LocalSandbox> {
    const { id, user } = this.#newIdentity()
    const sandbox = new LocalSandbox(id, this.#host, user)
    this.#sandboxes.set(id, sandbox) // otherwise prune would remove it
    try {
      await this.#host.starts.run(project, () => sandbox.makeFolders())
      return sandbox
    } catch (error) {
      await sandbox.terminate()
      throw error
    }
  }
}
