import { availableParallelism } from 'node:os'
import { SetupError } from '../../errors.ts'

/** What each local sandbox may use, and what is kept ready. */
export interface SandboxOptions {
  /** Bytes of memory, /tmp and /dev/shm included. Default 1 GiB. */
  memoryBytes?: number | undefined
  /** CPUs' worth of time; a fraction is fine. Default 2, but no more than three quarters of the machine. */
  cpus?: number | undefined
  /** Processes and threads at a time. Default 512. */
  maxProcesses?: number | undefined
  /** Bytes of files below /workspace and /home/agent. Default 2 GiB. */
  diskBytes?: number | undefined
  /** As root, an agent's files are kept on a disk of its own, an ext4 image, which holds that limit; else, or where it cannot be mounted, a watcher does. Default true. */
  diskImages?: boolean | undefined
  /** Open files of one process. Default 4,096. */
  maxOpenFiles?: number | undefined
  /** Sandboxes that wait for an agent to come. Default 1; 0 for none. */
  poolSize?: number | undefined
  /** Processes started ahead in an agent, for Python and for bash each. Default 1; 0 for none. */
  warmProcesses?: number | undefined
  /** Node processes started ahead in an agent that has used TypeScript lately. Default 1; 0 for none. */
  warmNodes?: number | undefined
  /** Milliseconds that those wait without use. Default 60,000. */
  warmNodeMs?: number | undefined
  /** Folders of this machine that code may read: the place inside, e.g. `/opt/venv`, to the folder. */
  mounts?: Record<string, string> | undefined
  /** Added to the environment of all code, e.g. `PYTHONPATH` of a mount. */
  env?: Record<string, string> | undefined
}

/** With nothing left open. */
export type SandboxSettings = { [Name in keyof SandboxOptions]-?: NonNullable<SandboxOptions[Name]> }

/**
 * No agent gets the whole machine by default. Linux's scheduler can starve others for seconds beside a group of some
 * hundred processes that wake and sleep all the time, but not where that group has to pause.
 */
const shareOfOne = 0.75

/** Places inside that a mount would take away. */
const takenPlaces = /^\/(workspace|home|proc|dev|sys|tmp|run|usr|bin|sbin|lib\w*|etc|opt\/(node|theazo))(\/|$)/

/** Fills in what was left out. @throws {SetupError} that names what is wrong. */
export function sandboxSettings(options: SandboxOptions = {}): SandboxSettings {
  const mebi = 1024 * 1024
  const mounts = options.mounts ?? {}
  for (const [inside, outside] of Object.entries(mounts)) {
    if (!/^(\/[^/\0]+)+$/.test(inside) || /\/\.{1,2}(\/|$)/.test(inside) || takenPlaces.test(inside)) {
      throw new SetupError(`sandbox mounts: ${inside} cannot be a place inside; take one below /opt or /srv`)
    }
    if (!outside.startsWith('/')) throw new SetupError(`sandbox mounts: ${outside} must be an absolute path`)
  }
  return {
    memoryBytes: atLeast('memoryBytes', options.memoryBytes, 64 * mebi, 1024 * mebi),
    cpus: atLeast('cpus', options.cpus, 0.05, Math.min(2, shareOfOne * availableParallelism())),
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
