import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SandboxStartError, SetupError } from '../../errors.ts'
import type { ComputeProvider, Sandbox, SandboxSpec } from '../compute-provider.ts'
import { findBubblewrap } from './find-bubblewrap.ts'
import { type HostUserOf, hostUsers } from './host-uid.ts'
import { LocalSandbox } from './local-sandbox.ts'
import { OutputPipes } from './output-pipes.ts'
import { removeTree } from './remove-tree.ts'
import { seccompProgram } from './seccomp.ts'
import { sizeOfTree } from './size-of-tree.ts'

/** Where the local provider keeps what it needs. */
export interface LocalProviderOptions {
  /** Each agent gets a folder here; the agents' users must be able to traverse to it. */
  agentsPath: string
  /** Node's binary for TypeScript, at a place the agents' users can reach. */
  nodePath: string
  /** For what this process alone needs; nobody else can name a file in it. */
  scratchPath: string
}

/** What all local sandboxes of a server share. */
export interface LocalHost extends LocalProviderOptions {
  bubblewrapPath: string
  /** The system call filter. */
  seccomp: Buffer
  outputPipes: OutputPipes
  userOf: HostUserOf
}

/**
 * Sandboxes on this machine, by bubblewrap: one fresh process tree an exec; files last from exec to exec.
 *
 * @throws {SetupError} where isolation cannot be had. There is no mode without it.
 */
export async function createLocalProvider(options: LocalProviderOptions): Promise<ComputeProvider> {
  if (process.platform !== 'linux') {
    throw new SetupError(`The local sandbox needs Linux; this is ${process.platform}. Run the server in a Linux VM.`)
  }
  const bubblewrapPath = await findBubblewrap()
  const [seccomp, userOf] = [seccompProgram(), await hostUsers()]
  const outputPipes = new OutputPipes(options.scratchPath)
  const provider = new LocalProvider({ ...options, bubblewrapPath, seccomp, outputPipes, userOf })
  await assertIsolation(provider)
  return provider
}

class LocalProvider implements ComputeProvider {
  readonly name = 'local'
  readonly #host: LocalHost
  readonly #sandboxes = new Map<string, LocalSandbox>()

  constructor(host: LocalHost) {
    this.#host = host
  }

  async create({ id }: SandboxSpec): Promise<Sandbox> {
    const sandbox = this.#open(id)
    try {
      await sandbox.makeFolders()
      await sandbox.check()
      return sandbox
    } catch (error) {
      await sandbox.terminate()
      if (error instanceof SandboxStartError) throw error
      throw new SandboxStartError(`The sandbox did not start: ${String(error)}`, { cause: error })
    }
  }

  async attach(id: string): Promise<Sandbox | undefined> {
    const sandbox = this.#sandboxes.get(id) ?? this.#open(id)
    if (await sandbox.hasFolders()) return sandbox
    this.#sandboxes.delete(id)
    return undefined
  }

  async sizeOf(id: string): Promise<number | undefined> {
    return await sizeOfTree(join(this.#host.agentsPath, id))
  }

  async prune(isKnown: (id: string) => boolean): Promise<void> {
    const left = (await readdir(this.#host.agentsPath)).filter((id) => !isKnown(id) && !this.#sandboxes.has(id))
    for (const id of left) await removeTree(join(this.#host.agentsPath, id))
  }

  #open(id: string): LocalSandbox {
    const sandbox = new LocalSandbox(id, this.#host, () => this.#sandboxes.delete(id))
    this.#sandboxes.set(id, sandbox)
    return sandbox
  }

  /** Kills what runs; the files stay for the next server on the same data folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#sandboxes.values(), (sandbox) => sandbox.stop()))
  }
}

/** Makes one sandbox, which looks at itself from inside: a server that cannot isolate does not start. */
async function assertIsolation(provider: ComputeProvider): Promise<void> {
  try {
    const sandbox = await provider.create({ id: `check-${process.pid}-${Date.now()}` })
    await sandbox.terminate()
  } catch (error) {
    throw new SetupError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}
