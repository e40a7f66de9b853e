import type { Agent } from '../agent.ts'
import type { CreateAgentOptions } from '../agents.ts'
import { configurationError } from '../errors.ts'
import type { Session } from '../sessions.ts'
import type { CallOptions } from '../transport/transport-options.ts'

/** How a pool makes and keeps sandboxes. */
export interface SandboxPoolOptions {
  /** The user of a key: the sandbox is made in that user's session. Default: the key is the user's id. */
  userIdOf?: ((key: string) => string) | undefined
  /** The session of a key, instead of `userIdOf`. */
  sessionOf?: ((key: string) => Promise<Session>) | undefined
  /** Options of new agents. */
  agent?: Omit<CreateAgentOptions, keyof CallOptions | 'name'> | undefined
  /**
   * The agent's name for a key, on a server with the extension `agents`: another process with the same name finds the
   * same sandbox. Undefined for no name. Default: none, so that each process has its own.
   */
  nameOf?: ((key: string) => string | undefined | Promise<string | undefined>) | undefined
  /** Answers the id that was stored for a key, for a server without names. */
  recall?: ((key: string) => Promise<string | undefined>) | undefined
  /** Called with each agent that was made, to store its id. */
  onCreate?: ((key: string, agent: Agent) => unknown) | undefined
  /**
   * What happens to a sandbox that the pool lets go because it is idle, the pool is full or disposed:
   * `terminate` (default) ends it if the pool made it; `pause` keeps its files, for one with a name; `leave` leaves it to
   * the server's idle timeout, and terminates it on a server without that.
   */
  onRelease?: 'terminate' | 'pause' | 'leave' | undefined
  /** Sandboxes at most; when all are in use the next one waits. Default 100. */
  maxSize?: number | undefined
  /** Milliseconds after its last use until a sandbox is let go. Default 900,000. */
  idleTtlMs?: number | undefined
  /**
   * Seconds after its last use until the server ends a sandbox, or pauses it if `onRelease` is `pause` and it has a name:
   * what a killed process has left does not stay. On a server with the extension `agents`; an `idleTimeout` among the
   * options of `agent` is taken instead. Default: twice `idleTtlMs`; 60 to 604,800.
   */
  idleTimeoutSeconds?: number | undefined
}

/** What the server takes as an idle timeout (contract, Agents), in seconds. */
export const idleTimeoutBounds = { min: 60, max: 604_800 } as const

/** @throws {ConfigurationError} names the option and what it takes. */
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
  isTaken: (value: number) => boolean,
  taken: string,
): void {
  if (value === undefined || (typeof value === 'number' && isTaken(value))) return
  throw configurationError(`${option} must be ${taken}, not ${String(value)}.`)
}
