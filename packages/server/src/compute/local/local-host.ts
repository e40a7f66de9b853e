import type { Cgroups } from './cgroups.ts'
import type { DiskImages } from './disk-images.ts'
import type { Egress } from './egress/egress.ts'
import type { FairQueue } from '../../fair-queue.ts'
import type { Launcher } from './launcher.ts'
import type { SandboxOptions, SandboxSettings } from './sandbox-options.ts'
import type { TypeScriptCompiler } from './typescript/typescript-compiler.ts'

/** Where the local provider keeps what it needs. */
export interface LocalProviderOptions {
  /** Each agent gets a folder here; the agents' users must be able to traverse to it. */
  agentsPath: string
  /** Node's binary for TypeScript, at a place the agents' users can reach. */
  nodePath: string
  /** For what this process alone needs; nobody else can name a file in it. */
  scratchPath: string
  /** Where the agents' users can read what servers share. */
  sharedPath: string
  sandbox?: SandboxOptions | undefined
  /** Their way out; without one, sandboxes reach nothing whatever they ask for. */
  egress?: Egress | undefined
  /** Is told what goes wrong in the background. */
  onError: (error: unknown) => void
}

/** What holds each limit: a version of control groups, or what stands in for them. */
export interface HeldLimits {
  settings: SandboxSettings
  memory: 1 | 2 | 'watcher'
  cpu: 1 | 2 | 'nothing'
  processes: 1 | 2 | 'rlimit'
  freezer: 1 | 2 | 'signals'
  /** Whether control groups count what TCP and UDP hold. */
  hasSocketMemory: boolean
  disk: 'image' | 'watcher'
}

/** What all local sandboxes of a server share. */
export interface LocalHost extends LocalProviderOptions {
  bubblewrapPath: string
  /** The system call filter. */
  seccomp: Buffer
  /** Starts all that is started while the server serves. */
  launcher: Launcher
  /** Where programs lose their types, so that nodes need not load a compiler. */
  typescript: TypeScriptCompiler
  supervisorPath: string
  settings: SandboxSettings
  cgroups: Cgroups
  /** Starts beyond what the machine can do at a time wait. */
  starts: FairQueue
  /** Where each agent can have a disk of its own. */
  diskImages: DiskImages | undefined
  /** A name that no other sandbox of this server has had. */
  nextName: () => string
  /** Called with the id of a sandbox when it is gone for good. */
  forget: (id: string) => void
}
