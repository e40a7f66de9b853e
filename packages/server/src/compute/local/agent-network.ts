import type { NetworkPolicy } from '../compute-provider.ts'

/** The network policy of one agent's sandbox. */
export interface AgentNetwork extends NetworkPolicy {
  agentId: string
}
