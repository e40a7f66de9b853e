import type { Agent } from '@theazo/core'

/** The part of an agent that a session needs. The sandboxes of a `SandboxPool` have it too. */
export type SandboxHost = Pick<Agent, 'exec' | 'files'>
