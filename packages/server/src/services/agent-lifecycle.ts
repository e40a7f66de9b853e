import type { AgentStatus } from '@theazo/core'
import { ApiError } from '../errors.ts'

/** What can happen to an agent: where it may happen, and where it leads. Every change of a status is one of these. */
export const agentEvents = {
  /** Its sandbox is there. */
  ready: { from: ['booting'], to: 'idle' },
  /** A task begins. */
  run: { from: ['idle'], to: 'running' },
  /** The task has ended, in whatever way. */
  finish: { from: ['running'], to: 'idle' },
  /** By a caller, or by a limit of its session. */
  pause: { from: ['idle', 'running'], to: 'paused' },
  /** Without a task under way. */
  resume: { from: ['paused'], to: 'idle' },
  /** With one, which goes on. */
  resumeRun: { from: ['paused'], to: 'running' },
  /** Its sandbox cannot be made, or is gone. */
  fail: { from: ['booting', 'idle', 'running', 'paused'], to: 'failed' },
  terminate: { from: ['booting', 'idle', 'running', 'paused', 'failed'], to: 'terminated' },
} as const satisfies Record<string, { from: readonly AgentStatus[]; to: AgentStatus }>

/** The name of one. */
export type AgentEvent = keyof typeof agentEvents

/** What callers ask of an agent: the statuses in which it can be done. One that boots is waited for. */
const allowedIn = {
  exec: ['idle', 'running'],
  run: ['idle'],
  pause: ['idle', 'running'],
  resume: ['paused'],
} as const satisfies Record<string, readonly AgentStatus[]>

/** The name of one. */
export type AgentAction = keyof typeof allowedIn

/** What an agent is refused for. */
interface Standing {
  id: string
  status: AgentStatus
  reason: string | null
}

/** True where its time is billed (contract, Sessions): from ready until paused or ended. */
export function isMetered(status: AgentStatus): boolean {
  return status === 'idle' || status === 'running'
}

/** An agent that is one of these takes no place, and no name, in its session. */
export const overStatuses: readonly AgentStatus[] = ['terminated', 'failed']

/** True where nothing can happen to it but its end. */
export function isOver(status: AgentStatus): boolean {
  return overStatuses.includes(status)
}

/** First of two checks (contract, Order of checks): @throws {ApiError} 409 terminated or failed. */
export function assertLives(agent: Standing): void {
  const { id, status, reason } = agent
  if (status === 'terminated') throw refusal(agent, 'create another one')
  if (status === 'failed') throw new ApiError('conflict', `Agent ${id} has failed: ${reason} Create another one.`)
}

/** Second, after the session's limits: @throws {ApiError} 409 paused or busy. */
export function assertCan(action: AgentAction, agent: Standing): void {
  const { status } = agent
  const allowed: readonly AgentStatus[] = allowedIn[action]
  if (allowed.includes(status)) return
  const fix = {
    booting: 'wait until it is idle',
    idle: 'only a paused agent can be resumed',
    running: 'wait for its task, or cancel it',
    paused: action === 'pause' ? 'resume it first to pause it again' : 'resume it first',
    failed: 'create another one',
    terminated: 'create another one',
  }[status]
  throw refusal(agent, fix)
}

/** 409 that says why the agent stands where it does, if anything but a caller is the cause, and the way out. */
function refusal({ id, status, reason }: Standing, fix: string): ApiError {
  const start = `Agent ${id} is ${status}:`
  if (reason === null) return new ApiError('conflict', `${start} ${fix}.`)
  const because = reason.charAt(0).toLowerCase() + reason.slice(1)
  return new ApiError('conflict', `${start} ${because} ${fix.charAt(0).toUpperCase()}${fix.slice(1)}.`)
}
