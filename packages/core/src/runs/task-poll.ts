import { StreamError, TheazoError } from '../errors.ts'
import { backoffMs } from '../transport/retry.ts'
import type { Transport } from '../transport/transport.ts'
import type { Agent as WireAgent, Task } from '../wire.ts'

/** The task, or undefined if the server shows no such task but the agent is still active. */
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
  // A server without extensions may show no task at all. While the agent is active, the task may still appear.
  if (status === 'running' || status === 'booting' || status === 'paused') return undefined
  const message = `The event stream of ${agentId} is lost, and the server does not report how task ${taskId} ended.`
  throw new StreamError(message, { code: 'stream_error', details: { taskId } })
}

/**
 * The task if it has ended; undefined if it is still active.
 *
 * @throws {StreamError} if the agent is not active and the server does not report how the task ended.
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

/** Consecutive failed calls, each with its own retries, after which polling gives up. */
const maxFailures = 8

/**
 * Polls a task until it has ended, with a delay of 1 to 9 s that grows with each attempt.
 *
 * @throws {StreamError} if the server does not report how the task ended; any error that is not retryable.
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
