import type { Agent } from '../agent.ts'
import type { CreateAgentOptions } from '../agents.ts'
import { configurationError } from '../errors.ts'
import type { Session } from '../sessions.ts'
import type { CallOptions } from '../transport/transport-options.ts'

/** Options of {@link SandboxPool}: how it creates and releases sandboxes. */
export interface SandboxPoolOptions {
  /** Returns the user id of a key. The sandbox is created in that user's session. Default: the key is the user id. */
  userIdOf?: ((key: string) => string) | undefined
  /** Returns the session of a key. It replaces `userIdOf`. */
  sessionOf?: ((key: string) => Promise<Session>) | undefined
  /** Options of new agents. */
  agent?: Omit<CreateAgentOptions, keyof CallOptions | 'name'> | undefined
  /**
   * Returns the agent's name for a key, or undefined for no name. Another process that uses the name finds the same
   * sandbox. Needs the extension `agents`. Default: no names, so that each process has its own sandboxes.
   */
  nameOf?: ((key: string) => string | undefined | Promise<string | undefined>) | undefined
  /** Returns the agent id that you stored for a key. Use it with `onCreate` on a server without names. */
  recall?: ((key: string) => Promise<string | undefined>) | undefined
  /** Called with each agent that the pool created or found by name, e.g. to store its id. It is awaited. */
  onCreate?: ((key: string, agent: Agent) => unknown) | undefined
  /**
   * What the pool does with a sandbox that it releases, because the sandbox is idle or the pool is full or disposed.
   * `terminate` (default) ends it, if the pool created it. `pause` pauses it, if it has a name; its files are retained.
   * `leave` leaves it to the server's idle timeout; on a server without idle timeouts, the pool terminates it.
   */
  onRelease?: 'terminate' | 'pause' | 'leave' | undefined
  /** The cap on sandboxes. If all are in use, the next call waits. Default 100. */
  maxSize?: number | undefined
  /** Milliseconds after the last use until the pool releases a sandbox. Default 900,000. */
  idleTtlMs?: number | undefined
  /**
   * Seconds after the last use until the server terminates a sandbox, or pauses it if `onRelease` is `pause` and it has a
   * name. It cleans up after a process that was killed. Needs the extension `agents`. An `idleTimeout` in the option
   * `agent` replaces it. 60 to 604,800; default: twice `idleTtlMs`.
   */
  idleTimeoutSeconds?: number | undefined
}

/** The idle timeouts that a server accepts, in seconds (contract, Agents). */
export const idleTimeoutBounds = { min: 60, max: 604_800 } as const

/** @throws {ConfigurationError} that names the invalid option and its valid values. */
export function assertPoolOptions({ maxSize, idleTtlMs, idleTimeoutSeconds, onRelease }: SandboxPoolOptions): void {
  assertNumber('maxSize', maxSize, (value) => value >= 1, 'at least 1')
  assertNumber('idleTtlMs', idleTtlMs, (value) => value >= 0, 'milliseconds, 0 or more')
  const { min, max } = idleTimeoutBounds
  const isTimeout = (value: number): boolean => Number.isInteger(value) && value >= min && value <= max
  assertNumber('idleTimeoutSeconds', idleTimeoutSeconds, isTimeout, `a whole number from ${min} to ${max}`)
  if (onRelease === undefined || ['terminate', 'pause', 'leave'].includes(onRelease)) return
  throw configurationError(`onRelease must be 'terminate', 'pause' or 'leave', not ${JSON.stringify(onRelease)}.`)
}

function assertNumber(
  option: string,
  value: number | undefined,
  isValid: (value: number) => boolean,
  expected: string,
): void {
  if (value === undefined || (typeof value === 'number' && isValid(value))) return
  throw configurationError(`${option} must be ${expected}, not ${String(value)}.`)
}
