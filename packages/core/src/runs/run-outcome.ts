import type { AgentEvent } from '../streams/agent-events.ts'
import type { Clock } from '../transport/clock.ts'
import type { TheazoError } from '../errors.ts'
import type { Money, Task } from '../wire.ts'
import { errorOf } from '../transport/wire-error.ts'

/** What a run gave. */
export interface RunResult {
  taskId: string
  /** The final answer. */
  output: string
  /** Undefined where the server did not tell. */
  cost: Money | undefined
}

/** How a run ended. */
export type RunOutcome = { result: RunResult } | { error: TheazoError }

/** From what the server keeps of a task that has ended. */
export function outcomeOf(task: Task, redact: (text: string) => string): RunOutcome {
  const { id: taskId, status, output = '', cost, error } = task
  if (status === 'completed') return { result: { taskId, output, cost } }
  const code = error?.code ?? (status === 'cancelled' ? 'cancelled' : 'internal_error')
  return { error: errorOf(code, redact(error?.message ?? `Task ${taskId} was ${status}.`), { details: { taskId } }) }
}

/** The last event of a run, from the same. */
export function finalEvent(task: Task, redact: (text: string) => string): AgentEvent {
  const outcome = outcomeOf(task, redact)
  const base = { eventId: undefined, taskId: task.id, gap: true } as const
  if ('result' in outcome) return { ...base, type: 'output', text: outcome.result.output, cost: outcome.result.cost }
  return { ...base, type: 'error', code: outcome.error.code, message: outcome.error.message, isResumable: false }
}

/** A server sends what it replays at once; nothing for this long, and it has nothing. */
const replayTimeoutMs = 2000

/** What comes soon; undefined where nothing does. */
export async function soon<Value>(coming: Promise<Value>, clock: Clock): Promise<Value | undefined> {
  const quiet = new AbortController()
  const silence = clock.sleep(replayTimeoutMs, quiet.signal).then(() => undefined)
  silence.catch(() => {})
  coming.catch(() => {})
  try {
    return await Promise.race([coming, silence])
  } finally {
    quiet.abort()
  }
}
