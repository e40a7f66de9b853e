import { StreamError, TheazoError } from '../errors.ts'
import { backoffMs } from '../transport/retry.ts'
import type { Transport } from '../transport/transport.ts'
import type { Agent as WireAgent, Task } from '../wire.ts'

/** The task as the server last knew it; undefined where it keeps none of that id. */
async function findTask(
  transport: Transport,
  agentId: string,
  taskId: string,
  signal: AbortSignal,
): Promise<Task | undefined> {
  if (transport.features.has('tasks')) {
    return await transport.request<Task>({ method: 'GET', path: ['agents', agentId, 'tasks', taskId], signal })
  }
  const { task, status } = await transport.request<WireAgent>({ method: 'GET', path: ['agents', agentId], signal })
  if (task?.id === taskId) return task
  // A server of the bare reference may tell no task at all; while the agent runs there is hope.
  if (status === 'running' || status === 'booting' || status === 'paused') return undefined
  const message = `The event stream of ${agentId} is lost, and the server does not tell how task ${taskId} ended.`
  throw new StreamError(message, { code: 'stream_error', details: { taskId } })
}

/**
 * The task where it has ended; undefined where it runs.
 *
 * @throws {StreamError} where the agent does not run, and the server does not tell how the task ended.
 */
export async function finishedTask(
  transport: Transport,
  agentId: string,
  taskId: string,
  signal: AbortSignal,
): Promise<Task | undefined> {
  const task = await findTask(transport, agentId, taskId, signal)
  return task && hasEnded(task) ? task : undefined
}

/** Calls in a row that fail, each after its own retries, until the server is given up. */
const maxFailures = 8

/**
 * Asks for a task until it has ended: a second apart at first, up to eight.
 *
 * @throws {StreamError} where the server does not tell; whatever an attempt throws that a later one would too.
 */
export async function pollTask(
  transport: Transport,
  agentId: string,
  taskId: string,
  signal: AbortSignal,
): Promise<Task> {
  const { clock } = transport
  let failures = 0
  for (let attempt = 1; ; attempt += 1) {
    try {
      const task = await findTask(transport, agentId, taskId, signal)
      failures = 0
      if (task && hasEnded(task)) return task
    } catch (error) {
      failures += 1
      if (!TheazoError.isInstance(error) || !error.isRetryable || failures > maxFailures) throw error
    }
    await clock.sleep(1000 + backoffMs(attempt, clock.random()), signal)
  }
}

function hasEnded({ status }: Task): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled'
}
