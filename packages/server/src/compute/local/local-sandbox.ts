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

/** Has turns like a project: sandboxes that are made ahead belong to none. */
export const aheadOwner = ' ahead'

/** One agent's folders, and its processes while there are any: they start with the first exec, or before it. */
export class LocalSandbox implements Sandbox {
  #id: string
  readonly #host: LocalHost
  /** Whom its processes and files belong to. */
  readonly user: HostUser
  /** Whose it is; undefined until it is an agent's. */
  project: string | undefined
  /** What it is started with. */
  network: AgentNetwork | undefined
  #running: Promise<RunningSandbox> | undefined
  /** The way out of what runs. */
  #egress: OpenEgress | undefined
  /** Aborted by stop: nothing can start after it. */
  readonly #ended = new AbortController()
  readonly #execs = new Set<Promise<unknown>>()
  /** Freezing and thawing, one after the other. */
  #change: Promise<void> = Promise.resolve()

  constructor(id: string, host: LocalHost, user: HostUser) {
    this.#id = id
    this.#host = host
    this.user = user
  }

  get id(): string {
    return this.#id
  }

  /** What runs now, for who watches over it. */
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

  /** Starts its processes, where there are none. @throws {SandboxStartError} */
  async start(): Promise<RunningSandbox> {
    while (this.#running) {
      const running = await this.#running
      if (!running.isLost) return running
      await running.ended // what comes now has no part in how that one broke down
    }
    this.#ended.signal.throwIfAborted()
    const launch = (): Promise<RunningSandbox> => this.#launch()
    const running = this.#host.starts.run(this.project ?? aheadOwner, launch, this.#ended.signal)
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

  /** Kills what runs and waits until it is gone; the files stay. */
  async stop(): Promise<void> {
    const reason = new SandboxEndedError('The sandbox ended while the code ran.')
    this.#ended.abort(reason)
    await this.#change.catch(() => {}) // what is frozen while it is killed would wait for its own end
    const running = await this.#running?.catch(() => {})
    await running?.kill(reason.message)
    await this.#egress?.[Symbol.asyncDispose]()
    await Promise.allSettled(this.#execs)
    await unmountDisk(this.#host.launcher.run, this.path)
  }

  /** Gives a sandbox that was made ahead to an agent. What is mounted stays mounted. */
  async becomeOf(id: string): Promise<void> {
    await rename(this.path, join(this.#host.agentsPath, id))
    this.#id = id
  }

  /** The umask of whoever started the server must not decide who can read what: every mode is set outright. */
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

  /** With each start: what an earlier server has written may lack some, and limits may have changed. */
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
    await this.#change.catch(() => {})
    const running = await orAbort(this.start(), signal)
    if (running.isFrozen) await this.#freeze(false) // nobody should ask, but who does is answered
    return await running.exec(request, sink, signal)
  }

  async #launch(): Promise<RunningSandbox> {
    await mountDisk(this.#host.launcher.run, this.path)
    const folders = this.#folders()
    const { workspace } = folders
    const found = await stat(workspace).catch(() => undefined)
    if (!found) throw new SandboxStartError('The sandbox did not start: its files are gone.')
    // Code may close its own working directory; nothing would start in it any more. No link: its parent is not the code's.
    if ((found.mode & 0o700) !== 0o700) await chmod(workspace, (found.mode & 0o777) | 0o700)
    await this.#writeEtc()
    const egress = await this.#openEgress()
    const withEgress = { ...folders, egressSocket: egress?.path }
    const started = RunningSandbox.start(this.#host, this.user, withEgress, this.#ended.signal)
    const close = async (): Promise<void> => await egress?.[Symbol.asyncDispose]()
    started.then((running) => running.ended.then(close), close).catch(this.#host.onError)
    return await started
  }

  /** Of its own for each start: it ends with what it was made for. */
  async #openEgress(): Promise<OpenEgress | undefined> {
    const { egress, nextName } = this.#host
    if (!egress || !this.network) return undefined
    return (this.#egress = await egress.open(nextName(), this.network, this.user))
  }

  #freeze(isFrozen: boolean): Promise<void> {
    const before = isFrozen ? Array.from(this.#execs) : [] // what comes later waits for this, and is not to be waited for
    this.#change = this.#freezeAfter(isFrozen, [this.#change, ...before])
    return this.#change
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
      // Three of them, half of the memory at most: were it all, files alone could take it, and no kill would help.
      tmpfsBytes: Math.min(256 * 1024 * 1024, Math.floor(settings.memoryBytes / 6)),
    }
  }
}

/** Where names are looked up (nsswitch.conf(5)). The host's own may ask services of the host. */
const nameSources = `${['passwd', 'group', 'networks', 'protocols', 'services', 'rpc'].map((name) => `${name}: files\n`).join('')}hosts: files dns\n`

async function writeReadable(path: string, content: string): Promise<void> {
  await writeFile(path, content)
  await chmod(path, 0o644)
}
