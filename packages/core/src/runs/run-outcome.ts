import type { AgentEvent } from '../streams/agent-events.ts'
import type { Clock } from '../transport/clock.ts'
import type { TheazoError } from '../errors.ts'
import type { Money, Task } from '../wire.ts'
import { errorOf } from '../transport/wire-error.ts'

/** The result of a completed run. */
export interface RunResult {
  taskId: string
  /** The final answer. */
  output: string
  /** Undefined if the server did not send it. */
  cost: Money | undefined
}

/** How a run ended. */
export type RunOutcome = { result: RunResult } | { error: TheazoError }

/** The outcome of a task that has ended, from the server's record of it. */
export function outcomeOf(task: Task, redact: (text: string) => string): RunOutcome {
  const { id: taskId, status, output = '', cost, error } = task
  if (status === 'completed') return { result: { taskId, output, cost } }
  const code = error?.code ?? (status === 'cancelled' ? 'cancelled' : 'internal_error')
  return { error: errorOf(code, redact(error?.message ?? `Task ${taskId} was ${status}.`), { details: { taskId } }) }
}

/** The last event of a run, made from the server's record of its task. */
export function finalEvent(task: Task, redact: (text: string) => string): AgentEvent {
  const outcome = outcomeOf(task, redact)
  const base = { eventId: undefined, taskId: task.id, gap: true } as const
  if ('result' in outcome) return { ...base, type: 'output', text: outcome.result.output, cost: outcome.result.cost }
  return { ...base, type: 'error', code: outcome.error.code, message: outcome.error.message, isResumable: false }
}

/** The outcome of a run, from its last event; undefined for any other event. */
export function outcomeOfEvent(
  event: AgentEvent,
  taskId: string,
  redact: (text: string) => string,
): RunOutcome | undefined {
  if (event.type === 'output') return { result: { taskId, output: event.text, cost: event.cost } }
  if (event.type !== 'error') return undefined
  const details = { taskId, resumable: event.isResumable }
  return { error: errorOf(event.code, redact(event.message), { details }) }
}

/** A server replays events immediately. If none arrive for this long, it has none. */
const replayTimeoutMs = 2000

/** Waits for replayed events; undefined if none arrive in time. */
export async function withReplayTimeout<Value>(replayed: Promise<Value>, clock: Clock): Promise<Value | undefined> {
  const stop = new AbortController()
  const timeout = clock.sleep(replayTimeoutMs, stop.signal).then(() => undefined)
  timeout.catch(() => {})
  replayed.catch(() => {})
  try {
    return await Promise.race([replayed, timeout])
  } finally {
    stop.abort()
  }
}
