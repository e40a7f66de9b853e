import { randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { SandboxStartError, SetupError } from '../../errors.ts'
import { FairQueue } from '../../fair-queue.ts'
import type { ComputeProvider, Sandbox, SandboxSpec } from '../compute-provider.ts'
import { Cgroups, cgroupsFile } from './cgroups.ts'
import { DiskImages, removeFiles, sizeOfFiles, unmountBelow, userOfFiles } from './disk-images.ts'
import { findBubblewrap } from './find-bubblewrap.ts'
import { type HostUser, type HostUserOf, hostUsers } from './host-uid.ts'
import { checkIsolation } from './isolation-check.ts'
import { Launcher } from './launcher.ts'
import type { AgentNetwork } from './agent-network.ts'
import type { HeldLimits, LocalHost, LocalProviderOptions } from './local-host.ts'
import { aheadOwner, LocalSandbox } from './local-sandbox.ts'
import { checkOwnLimits } from './own-limits.ts'
import { sandboxSettings } from './sandbox-options.ts'
import { seccompProgram } from './seccomp.ts'
import { supervisorFolder } from './supervisor-folder.ts'
import { TypeScriptCompiler } from './typescript/typescript-compiler.ts'
import { Watcher } from './watcher.ts'
import { WhenQuiet } from './when-quiet.ts'

/**
 * Sandboxes on this machine, by bubblewrap: one an agent, from its creation on.
 *
 * @throws {SetupError} where isolation cannot be had. There is no mode without it.
 */
export async function createLocalProvider(options: LocalProviderOptions): Promise<LocalProvider> {
  if (process.platform !== 'linux') {
    throw new SetupError(`The local sandbox needs Linux; this is ${process.platform}. Run the server in a Linux VM.`)
  }
  const settings = sandboxSettings(options.sandbox)
  await checkOwnLimits(settings)
  const [bubblewrapPath, seccomp, userOf] = [await findBubblewrap(), seccompProgram(), await hostUsers()]
  const supervisorPath = await supervisorFolder(options.sharedPath, options.scratchPath)
  const launcher = new Launcher(options.scratchPath)
  const cgroups = await Cgroups.open(basename(dirname(options.scratchPath)))
  await writeFile(join(options.scratchPath, cgroupsFile), cgroups.paths.join('\n'))
  await unmountBelow(options.agentsPath) // of a server that was killed
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
  /** Made ahead; they belong to nobody yet. */
  readonly #pool: Promise<LocalSandbox>[] = []
  /** Folders of the next one, without processes: to make a disk takes as long as to start them. */
  #folders: Promise<LocalSandbox> | undefined
  readonly #ahead = new WhenQuiet(() => this.#workAhead())
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

  /** What holds the limits of sandboxes here. */
  get limits(): HeldLimits {
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

  /** Makes one sandbox, which looks at itself from inside: a server that cannot isolate does not start. */
  async begin(): Promise<void> {
    const making = this.#make()
    const isOfPool = this.#host.settings.poolSize > 0
    if (isOfPool) this.#pool.push(making) // at once, or the pool would be filled beside it
    const first = await making
    await checkIsolation(first, first.user)
    if (!isOfPool) await first.terminate()
    this.#workAhead()
    this.#watcher.start()
  }

  async create({ id, project, network }: SandboxSpec): Promise<Sandbox> {
    try {
      // Those made ahead run without a way out, which is bound in at the start.
      const ready = network ? undefined : await this.#takeReady()
      const sandbox = ready ?? (await this.#make(project, network && { agentId: id, ...network }))
      sandbox.project = project
      try {
        const made = sandbox.id
        this.#sandboxes.set(id, sandbox) // before its folder is renamed: prune removes unknown folders
        await sandbox.becomeOf(id)
        this.#sandboxes.delete(made)
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
    // Two calls at once must not make two of it.
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
        // To look at the processes is worth it only if a measurement is a `du`.
        const isWriter = this.#host.diskImages !== undefined || (await running.codeProcesses()).length > 0
        return isWriter ? [sandbox.id] : []
      }),
    )
    return found.flat()
  }

  async prune(isKnown: (id: string) => boolean): Promise<void> {
    const { agentsPath, launcher } = this.#host
    const left = (await readdir(agentsPath)).filter((id) => !isKnown(id) && !this.#sandboxes.has(id))
    for (const id of left) await removeFiles(launcher.run, join(agentsPath, id)).catch(this.#host.onError)
  }

  /** Kills what runs; agents' files stay for the next server on the same data folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#ahead.cancel()
    await this.#watcher[Symbol.asyncDispose]()
    await Promise.all(Array.from(this.#sandboxes.values(), (sandbox) => sandbox.stop())) // the pool's among them
    const pool = await Promise.allSettled(this.#pool.splice(0))
    await Promise.all(pool.map((made) => (made.status === 'fulfilled' ? made.value.terminate() : undefined)))
    await (await this.#folders?.catch(() => undefined))?.terminate()
    await unmountBelow(this.#host.agentsPath) // disks that were only measured
    await this.#host.cgroups[Symbol.asyncDispose]()
    await this.#host.launcher[Symbol.asyncDispose]()
    await this.#host.typescript[Symbol.asyncDispose]()
  }

  /** One from the pool, which is filled up again; undefined where there is none, or it broke down while it waited. */
  async #takeReady(): Promise<LocalSandbox | undefined> {
    const sandbox = await this.#pool.shift()?.catch(() => undefined)
    this.#ahead.ask()
    if (!sandbox || sandbox.running) return sandbox
    await sandbox.terminate()
    return undefined
  }

  /** In the background. What fails here is told when an agent is to have one. */
  #workAhead(): void {
    const { settings, starts } = this.#host
    if (starts.isBusy) return this.#ahead.ask() // it would take the machine from those who wait
    const { poolSize } = settings
    while (!this.#isClosed && this.#pool.length < poolSize) {
      const making = this.#make()
      this.#pool.push(making)
      making.catch(() => {
        const index = this.#pool.indexOf(making)
        if (index >= 0) this.#pool.splice(index, 1)
      })
    }
    if (this.#isClosed || this.#folders) return
    const making = this.#makeFolders()
    this.#folders = making
    making.catch(() => {
      if (this.#folders === making) this.#folders = undefined
    })
  }

  /** With a uid that no other sandbox of this server has, where there is more than one to be had. */
  #newcomer(): { id: string; user: HostUser } {
    for (let tries = 0; ; tries += 1) {
      const id = `made-${randomBytes(12).toString('hex')}`
      const user = this.#userOf(id)
      const isTaken = Array.from(this.#sandboxes.values()).some((sandbox) => sandbox.user.uid === user.uid)
      if (!isTaken || tries === 100 || process.getuid?.() !== 0) return { id, user }
    }
  }

  async #make(project?: string, network?: AgentNetwork): Promise<LocalSandbox> {
    const made = this.#folders ?? this.#makeFolders(project)
    this.#folders = undefined // before anything is waited for: no two take the same
    this.#ahead.ask()
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

  async #makeFolders(project = aheadOwner): Promise<LocalSandbox> {
    const { id, user } = this.#newcomer()
    const sandbox = new LocalSandbox(id, this.#host, user)
    this.#sandboxes.set(id, sandbox) // no prune may take it
    try {
      await this.#host.starts.run(project, () => sandbox.makeFolders())
      return sandbox
    } catch (error) {
      await sandbox.terminate()
      throw error
    }
  }
}
