import type { AgentStatus } from '@theazo/core'
import { ApiError } from '../errors.ts'

/** The transitions of an agent's status: the statuses before, and the status after. No other change is possible. */
export const agentEvents = {
  /** The sandbox was created. */
  ready: { from: ['booting'], to: 'idle' },
  /** A task begins. */
  run: { from: ['idle'], to: 'running' },
  /** The task has ended, with any result. */
  finish: { from: ['running'], to: 'idle' },
  /** A caller, an idle timeout or a cap of the session pauses the agent. */
  pause: { from: ['idle', 'running'], to: 'paused' },
  /** A caller resumes an agent without an active task. */
  resume: { from: ['paused'], to: 'idle' },
  /** A caller resumes an agent with an active task, which continues. */
  resumeRun: { from: ['paused'], to: 'running' },
  /** The sandbox cannot be created, or is gone. */
  fail: { from: ['booting', 'idle', 'running', 'paused'], to: 'failed' },
  terminate: { from: ['booting', 'idle', 'running', 'paused', 'failed'], to: 'terminated' },
} as const satisfies Record<string, { from: readonly AgentStatus[]; to: AgentStatus }>

/** Name of a transition. */
export type AgentEvent = keyof typeof agentEvents

/** The actions of callers, with the statuses that allow them. A call waits for an agent that boots. */
const allowedIn = {
  exec: ['idle', 'running'],
  run: ['idle'],
  pause: ['idle', 'running'],
  resume: ['paused'],
} as const satisfies Record<string, readonly AgentStatus[]>

/** Name of an action. */
export type AgentAction = keyof typeof allowedIn

/** The fields of an agent that decide about an action. */
interface StatusInfo {
  id: string
  status: AgentStatus
  reason: string | null
}

/** True if compute time is billed in this status (contract, Sessions): from ready until paused or ended. */
export function isMetered(status: AgentStatus): boolean {
  return status === 'idle' || status === 'running'
}

/** Agents in these statuses do not count towards `maxAgents`, and their names are free. */
export const overStatuses: readonly AgentStatus[] = ['terminated', 'failed']

/** True if the agent has ended. A failed agent can only be terminated. */
export function isOver(status: AgentStatus): boolean {
  return overStatuses.includes(status)
}

/** The first of two checks (contract, Order of checks). @throws {ApiError} 409 for a terminated or failed agent. */
export function assertNotEnded(agent: StatusInfo): void {
  const { id, status, reason } = agent
  if (status === 'terminated') throw refusal(agent, 'create another agent')
  if (status === 'failed') throw new ApiError('conflict', `Agent ${id} has failed: ${reason} Create another agent.`)
}

/** The second check, after the session's caps. @throws {ApiError} 409 for a paused or busy agent. */
export function assertCan(action: AgentAction, agent: StatusInfo): void {
  const { status } = agent
  const allowed: readonly AgentStatus[] = allowedIn[action]
  if (allowed.includes(status)) return
  const fix = {
    booting: 'wait until it is idle',
    idle: 'only a paused agent can be resumed',
    running: 'wait for its task, or cancel it',
    paused: action === 'pause' ? 'resume it before you pause it again' : 'resume it first',
    failed: 'create another agent',
    terminated: 'create another agent',
  }[status]
  throw refusal(agent, fix)
}

/** 409 with the status, its reason (unless a caller caused it) and the fix. */
function refusal({ id, status, reason }: StatusInfo, fix: string): ApiError {
  const start = `Agent ${id} is ${status}:`
  if (reason === null) return new ApiError('conflict', `${start} ${fix}.`)
  const because = reason.charAt(0).toLowerCase() + reason.slice(1)
  return new ApiError('conflict', `${start} ${because} ${fix.charAt(0).toUpperCase()}${fix.slice(1)}.`)
}
