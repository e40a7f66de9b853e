import type { Cgroups } from './cgroups.ts'
import type { DiskImages } from './disk-images.ts'
import type { Egress } from './egress/egress.ts'
import type { FairQueue } from '../../fair-queue.ts'
import type { Launcher } from './launcher.ts'
import type { SandboxOptions, SandboxSettings } from './sandbox-options.ts'
import type { TypeScriptCompiler } from './typescript/typescript-compiler.ts'

/** Options of the local provider, mostly paths. */
export interface LocalProviderOptions {
  /** Each agent gets a folder here; the agents' users must be able to traverse to it. */
  agentsPath: string
  /** Node's binary for TypeScript, at a place the agents' users can reach. */
  nodePath: string
  /** A folder for this process only; no other user can access it. */
  scratchPath: string
  /** A folder that the agents' users can read, for files that servers share. */
  sharedPath: string
  sandbox?: SandboxOptions | undefined
  /** The network access of sandboxes. Without it, sandboxes have none, whatever their policy. */
  egress?: Egress | undefined
  /** Called with each error in the background. */
  onError: (error: unknown) => void
}

/** The mechanism that enforces each limit: a version of control groups, or its replacement. */
export interface EnforcedLimits {
  settings: SandboxSettings
  memory: 1 | 2 | 'watcher'
  cpu: 1 | 2 | 'nothing'
  processes: 1 | 2 | 'rlimit'
  freezer: 1 | 2 | 'signals'
  /** Whether control groups count the buffers of TCP and UDP. */
  hasSocketMemory: boolean
  disk: 'image' | 'watcher'
}

/** The state that all local sandboxes of a server share. */
export interface LocalHost extends LocalProviderOptions {
  bubblewrapPath: string
  /** The system call filter. */
  seccomp: Buffer
  /** Starts every process while the server runs. */
  launcher: Launcher
  /** Removes the types of programs, so that Node in a sandbox need not load a compiler. */
  typescript: TypeScriptCompiler
  supervisorPath: string
  settings: SandboxSettings
  cgroups: Cgroups
  /** Limits how many sandboxes start at a time; further starts wait. */
  starts: FairQueue
  /** Undefined if agents cannot have disks of their own. */
  diskImages: DiskImages | undefined
  /** A name that no other sandbox of this server has had, for control groups and sockets. */
  nextName: () => string
  /** Called with the id of a sandbox when it has been terminated. */
  forget: (id: string) => void
}
