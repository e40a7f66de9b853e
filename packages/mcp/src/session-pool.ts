import type { Theazo } from '@theazo/core'
import { SandboxPool } from '@theazo/core/pool'
import type { Bounds } from './calls/answer-seconds.ts'

/** The idle timeouts of a sandbox, in seconds. */
export const idleSecondsBounds: Bounds = { min: 60, max: 604_800, default: 1800 }

/** The cap on MCP sessions of one user over HTTP. */
export const sessionsPerUserBounds: Bounds = { min: 1, max: 100_000, default: 100 }

/** The name and the idle timeout of the program's sandbox. */
export interface SessionPoolOptions {
  /** The sandbox's name, if it outlives the process. */
  sandboxName: string | undefined
  idleTimeoutSeconds: number
}

/**
 * Creates the pool of a process's one sandbox. Disposing the pool terminates the sandbox, or pauses it if it has a name.
 * If the process is killed, the Theazo server does the same after the idle timeout.
 */
export function createSessionPool(
  theazo: Theazo,
  { sandboxName, idleTimeoutSeconds }: SessionPoolOptions,
): SandboxPool {
  return new SandboxPool(theazo, {
    idleTimeoutSeconds: Math.max(idleTimeoutSeconds, idleSecondsBounds.min),
    idleTtlMs: idleTimeoutSeconds * 1000,
    ...(sandboxName !== undefined && { nameOf: () => sandboxName, onRelease: 'pause' }),
  })
}
