import { availableParallelism } from 'node:os'
import { SetupError } from '../../errors.ts'

/** Limits of each local sandbox, and what is prepared in advance. */
export interface SandboxOptions {
  /** Bytes of memory, including /tmp and /dev/shm. Default 1 GiB. */
  memoryBytes?: number | undefined
  /** CPU time, in CPUs; may be a fraction. Default 2, but at most three quarters of the machine. */
  cpus?: number | undefined
  /** Processes and threads at a time. Default 512. */
  maxProcesses?: number | undefined
  /** Bytes of files below /workspace and /home/agent. Default 2 GiB. */
  diskBytes?: number | undefined
  /** As root, stores the files of each agent on a disk of its own, an ext4 image, which enforces `diskBytes`. Otherwise, or if it cannot be mounted, a watcher does. Default true. */
  diskImages?: boolean | undefined
  /** Open files of one process. Default 4,096. */
  maxOpenFiles?: number | undefined
  /** Sandboxes that are started before an agent needs them. Default 1; 0 for none. */
  poolSize?: number | undefined
  /** Warm processes in each sandbox: this number for Python, and the same number for bash. Default 1; 0 for none. */
  warmProcesses?: number | undefined
  /** Warm Node processes in each sandbox that has used TypeScript recently. Default 1; 0 for none. */
  warmNodes?: number | undefined
  /** Milliseconds after the last TypeScript exec until these are ended. Default 60,000. */
  warmNodeMs?: number | undefined
  /** Folders of this machine that code may read, by their path in the sandbox, e.g. `/opt/venv`. */
  mounts?: Record<string, string> | undefined
  /** Added to the environment of all code, e.g. `PYTHONPATH` of a mount. */
  env?: Record<string, string> | undefined
}

/** The options with all defaults. */
export type SandboxSettings = { [Name in keyof SandboxOptions]-?: NonNullable<SandboxOptions[Name]> }

/**
 * No agent gets the whole machine by default. A group of some hundred processes that wake and sleep all the time can starve
 * others for seconds, but not if its CPU limit makes the group pause.
 */
const maxDefaultShare = 0.75

/** Paths in the sandbox that a mount must not hide. */
const reservedPaths = /^\/(workspace|home|proc|dev|sys|tmp|run|usr|bin|sbin|lib\w*|etc|opt\/(node|theazo))(\/|$)/

/** Fills in the defaults. @throws {SetupError} if an option is invalid; the message names it. */
export function sandboxSettings(options: SandboxOptions = {}): SandboxSettings {
  const mebi = 1024 * 1024
  const mounts = options.mounts ?? {}
  for (const [inside, outside] of Object.entries(mounts)) {
    if (!/^(\/[^/\0]+)+$/.test(inside) || /\/\.{1,2}(\/|$)/.test(inside) || reservedPaths.test(inside)) {
      throw new SetupError(
        `sandbox mounts: ${inside} is not allowed as a path in the sandbox; use one below /opt or /srv`,
      )
    }
    if (!outside.startsWith('/')) throw new SetupError(`sandbox mounts: ${outside} must be an absolute path`)
  }
  return {
    memoryBytes: atLeast('memoryBytes', options.memoryBytes, 64 * mebi, 1024 * mebi),
    cpus: atLeast('cpus', options.cpus, 0.05, Math.min(2, maxDefaultShare * availableParallelism())),
    maxProcesses: atLeast('maxProcesses', options.maxProcesses, 16, 512),
    diskBytes: atLeast('diskBytes', options.diskBytes, mebi, 2048 * mebi),
    diskImages: options.diskImages ?? true,
    maxOpenFiles: atLeast('maxOpenFiles', options.maxOpenFiles, 64, 4096),
    poolSize: atLeast('poolSize', options.poolSize, 0, 1),
    warmProcesses: atLeast('warmProcesses', options.warmProcesses, 0, 1),
    warmNodes: atLeast('warmNodes', options.warmNodes, 0, 1),
    warmNodeMs: atLeast('warmNodeMs', options.warmNodeMs, 0, 60_000),
    mounts,
    env: options.env ?? {},
  }
}

function atLeast(name: string, value: number | undefined, least: number, otherwise: number): number {
  if (value === undefined) return otherwise
  if (Number.isFinite(value) && value >= least) return value
  throw new SetupError(`sandbox ${name} must be a number of at least ${least}, not ${value}`)
}
