import { chmod, chown, mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SandboxEndedError, SandboxStartError } from '../../errors.ts'
import { orAbort } from '../../or-abort.ts'
import type { ExecOutcome, ExecRequest, OutputSink, Sandbox } from '../compute-provider.ts'
import type { AgentNetwork } from './agent-network.ts'
import type { SandboxFolders } from './bubblewrap-options.ts'
import { onlineCpus } from './cpu-view.ts'
import { filesPath, mountDisk, removeFiles, unmountDisk } from './disk-images.ts'
import type { OpenEgress } from './egress/egress.ts'
import type { HostUser } from './host-uid.ts'
import type { LocalHost } from './local-host.ts'
import { meminfo } from './memory-view.ts'
import { RunningSandbox } from './running-sandbox.ts'

/** Stands for a project in the queue for starts: sandboxes of the pool belong to no project yet. */
export const unassignedOwner = ' ahead'

/** The folders of one agent, and its processes while they run. They start with the first exec, or before it. */
export class LocalSandbox implements Sandbox {
  #id: string
  readonly #host: LocalHost
  /** The user of its processes and files. */
  readonly user: HostUser
  /** The project of its agent; undefined until it is assigned to an agent. */
  project: string | undefined
  /** Its network access; applied when it starts. */
  network: AgentNetwork | undefined
  #running: Promise<RunningSandbox> | undefined
  /** The network access of the running processes. */
  #egress: OpenEgress | undefined
  /** Aborted by stop: nothing can start after it. */
  readonly #ended = new AbortController()
  readonly #execs = new Set<Promise<unknown>>()
  /** Freezes and unfreezes run one after the other; this is the last one. */
  #freezing: Promise<void> = Promise.resolve()

  constructor(id: string, host: LocalHost, user: HostUser) {
    this.#id = id
    this.#host = host
    this.user = user
  }

  get id(): string {
    return this.#id
  }

  /** The running processes, for the watcher. */
  get running(): Promise<RunningSandbox> | undefined {
    return this.#running
  }

  get path(): string {
    return join(this.#host.agentsPath, this.#id)
  }

  async prepare(signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#ended.signal])
    either.throwIfAborted()
    await orAbort(this.start(), either)
  }

  async exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome> {
    const either = AbortSignal.any([signal, this.#ended.signal])
    either.throwIfAborted()
    const exec = this.#exec(request, sink, either)
    this.#execs.add(exec)
    try {
      return await exec
    } finally {
      this.#execs.delete(exec)
    }
  }

  /** Starts its processes if none run. @throws {SandboxStartError} */
  async start(): Promise<RunningSandbox> {
    while (this.#running) {
      const running = await this.#running
      if (!running.isLost) return running
      await running.ended // a new exec must not fail because the old processes broke down
    }
    this.#ended.signal.throwIfAborted()
    const launch = (): Promise<RunningSandbox> => this.#launch()
    const running = this.#host.starts.run(this.project ?? unassignedOwner, launch, this.#ended.signal)
    this.#running = running
    const forget = (): void => {
      if (this.#running === running) this.#running = undefined
    }
    running.then((live) => live.ended.then(forget), forget)
    return await running
  }

  pause(): Promise<void> {
    return this.#freeze(true)
  }

  resume(): Promise<void> {
    return this.#freeze(false)
  }

  async terminate(): Promise<void> {
    await this.stop()
    try {
      await removeFiles(this.#host.launcher.run, this.path)
    } finally {
      this.#host.forget(this.#id) // prune removes the files that are left
    }
  }

  /** Kills all processes and waits until they are gone; the files stay. */
  async stop(): Promise<void> {
    const reason = new SandboxEndedError('The sandbox ended while the code ran.')
    this.#ended.abort(reason)
    await this.#freezing.catch(() => {}) // processes that are frozen during the kill would not end
    const running = await this.#running?.catch(() => {})
    await running?.kill(reason.message)
    await this.#egress?.[Symbol.asyncDispose]()
    await Promise.allSettled(this.#execs)
    await unmountDisk(this.#host.launcher.run, this.path)
  }

  /** Assigns a new sandbox to an agent. Its mounts stay. */
  async assignTo(id: string): Promise<void> {
    await rename(this.path, join(this.#host.agentsPath, id))
    this.#id = id
  }

  /** Sets every mode explicitly: the umask of the server must not decide who can read a folder. */
  async makeFolders(): Promise<void> {
    const { uid, gid } = this.user
    await mkdir(this.path)
    await chmod(this.path, 0o711)
    await this.#host.diskImages?.create(this.path, this.user)
    const { workspace, home, etc } = this.#folders()
    for (const folder of [workspace, home]) {
      await mkdir(folder)
      await chmod(folder, 0o700)
      if (process.getuid?.() === 0) await chown(folder, uid, gid)
    }
    await mkdir(etc)
    await chmod(etc, 0o755)
  }

  /** At each start: an earlier version of the server may not have written all of them, and limits may have changed. */
  async #writeEtc(): Promise<void> {
    const { user, path } = this
    const { uid, gid } = user
    const etc = join(path, 'etc')
    await writeReadable(join(etc, 'passwd'), `agent:x:${uid}:${gid}:agent:/home/agent:/bin/bash\n`)
    await writeReadable(join(etc, 'group'), `agent:x:${gid}:\n`)
    await writeReadable(join(etc, 'hosts'), '127.0.0.1 localhost sandbox\n::1 localhost sandbox\n')
    await writeReadable(join(etc, 'nsswitch.conf'), nameSources)
    await writeReadable(join(etc, 'meminfo'), meminfo(this.#host.settings.memoryBytes))
    await writeReadable(join(etc, 'cpu-online'), onlineCpus(this.#host.settings.cpus))
    await writeReadable(join(etc, 'empty'), '')
  }

  async #exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome> {
    await this.#freezing.catch(() => {})
    const running = await orAbort(this.start(), signal)
    if (running.isFrozen) await this.#freeze(false) // callers should resume first, but an exec works without it
    return await running.exec(request, sink, signal)
  }

  async #launch(): Promise<RunningSandbox> {
    await mountDisk(this.#host.launcher.run, this.path)
    const folders = this.#folders()
    const { workspace } = folders
    const found = await stat(workspace).catch(() => undefined)
    if (!found) throw new SandboxStartError('The sandbox did not start: its files are gone.')
    // Code may close its own working directory, and no program could start in it. It is no link: code cannot write to its parent.
    if ((found.mode & 0o700) !== 0o700) await chmod(workspace, (found.mode & 0o777) | 0o700)
    await this.#writeEtc()
    const egress = await this.#openEgress()
    const withEgress = { ...folders, egressSocket: egress?.path }
    const started = RunningSandbox.start(this.#host, this.user, withEgress, this.#ended.signal)
    const close = async (): Promise<void> => await egress?.[Symbol.asyncDispose]()
    started.then((running) => running.ended.then(close), close).catch(this.#host.onError)
    return await started
  }

  /** Each start has its own socket, which is closed when the processes end. */
  async #openEgress(): Promise<OpenEgress | undefined> {
    const { egress, nextName } = this.#host
    if (!egress || !this.network) return undefined
    return (this.#egress = await egress.open(nextName(), this.network, this.user))
  }

  #freeze(isFrozen: boolean): Promise<void> {
    const before = isFrozen ? Array.from(this.#execs) : [] // later execs wait for this
    this.#freezing = this.#freezeAfter(isFrozen, [this.#freezing, ...before])
    return this.#freezing
  }

  async #freezeAfter(isFrozen: boolean, others: readonly Promise<unknown>[]): Promise<void> {
    await Promise.allSettled(others)
    const running = await this.#running?.catch(() => {})
    if (!this.#ended.signal.aborted) await running?.freeze(isFrozen)
  }

  #folders(): SandboxFolders {
    const { nodePath, supervisorPath, settings } = this.#host
    const files = filesPath(this.path)
    return {
      workspace: join(files, 'workspace'),
      home: join(files, 'home'),
      etc: join(this.path, 'etc'),
      node: nodePath,
      supervisor: supervisorPath,
      mounts: settings.mounts,
      // There are three, with at most half of the memory: if files could fill all of it, killing processes would free nothing.
      tmpfsBytes: Math.min(256 * 1024 * 1024, Math.floor(settings.memoryBytes / 6)),
    }
  }
}

/** The sources of names (nsswitch.conf(5)). The file of the host may name services of the host. */
const nameSources = `${['passwd', 'group', 'networks', 'protocols', 'services', 'rpc'].map((name) => `${name}: files\n`).join('')}hosts: files dns\n`

async function writeReadable(path: string, content: string): Promise<void> {
  await writeFile(path, content)
  await chmod(path, 0o644)
}
