import type { Theazo } from '@theazo/core'
import { SandboxPool } from '@theazo/core/pool'

/** How the sandbox of the program is kept. */
export interface SessionPoolOptions {
  /** Its name, if it outlives the process. */
  sandboxName: string | undefined
  idleTimeoutSeconds: number
}

/** Keeps the one sandbox of a process: ended with it, or paused if it has a name. The server does that if the process cannot. */
export function createSessionPool(
  theazo: Theazo,
  { sandboxName, idleTimeoutSeconds }: SessionPoolOptions,
): SandboxPool {
  return new SandboxPool(theazo, {
    idleTimeoutSeconds,
    idleTtlMs: idleTimeoutSeconds * 1000,
    ...(sandboxName !== undefined && { nameOf: () => sandboxName, onRelease: 'pause' }),
  })
}
