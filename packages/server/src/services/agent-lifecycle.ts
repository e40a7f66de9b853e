import type { AgentStatus } from '@theazo/core'

/** What can happen to an agent: where it may happen, and where it leads. */
export const agentEvents = {
  ready: { from: ['booting'], to: 'idle' },
  fail: { from: ['booting', 'idle', 'running', 'paused'], to: 'failed' },
  terminate: { from: ['booting', 'idle', 'running', 'paused', 'failed'], to: 'terminated' },
} as const satisfies Record<string, { from: readonly AgentStatus[]; to: AgentStatus }>

export type AgentEvent = keyof typeof agentEvents
