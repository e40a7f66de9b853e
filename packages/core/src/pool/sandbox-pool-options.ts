import type { Agent } from '../agent.ts'
import type { CreateAgentOptions } from '../agents.ts'
import type { CallOptions } from '../transport-options.ts'

/** How a pool makes and keeps sandboxes. */
export interface SandboxPoolOptions {
  /** Whose session the sandbox of a key is made in. Default: the key is the user's id. */
  userIdOf?: ((key: string) => string) | undefined
  /** What a new agent is given. */
  agent?: Omit<CreateAgentOptions, keyof CallOptions | 'name'> | undefined
  /**
   * Makes the agent's name from the key, on a server with the extension `agents`: another process with the same name
   * then finds the same sandbox. Default: none, so that each process has its own.
   */
  nameOf?: ((key: string) => string) | undefined
  /** Where ids are kept for a server without names: answers the one stored for a key. */
  recall?: ((key: string) => Promise<string | undefined>) | undefined
  /** Told of each agent that was made, to store its id. */
  onCreate?: ((key: string, agent: Agent) => unknown) | undefined
  /** Sandboxes at most; when all are in use the next one waits. Default 100. */
  maxSize?: number | undefined
  /** Milliseconds after its last use until a sandbox is let go. Default 900,000. */
  idleTtlMs?: number | undefined
}
