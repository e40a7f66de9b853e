import { StreamError, TheazoError } from './errors.ts'
import { backoffMs } from './retry.ts'
import type { Transport } from './transport.ts'
import type { Agent as WireAgent, Task } from './wire.ts'

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

/** The task where it has ended; undefined where it runs, or nothing is known of it. */
export async function finishedTask(
  transport: Transport,
  agentId: string,
  taskId: string,
  signal: AbortSignal,
): Promise<Task | undefined> {
  try {
    const task = await findTask(transport, agentId, taskId, signal)
    return task && hasEnded(task) ? task : undefined
  } catch (error) {
    if (StreamError.isInstance(error)) return undefined
    throw error
  }
}

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
  for (let attempt = 1; ; attempt += 1) {
    try {
      const task = await findTask(transport, agentId, taskId, signal)
      if (task && hasEnded(task)) return task
    } catch (error) {
      if (!TheazoError.isInstance(error) || !error.isRetryable) throw error
    }
    await clock.sleep(1000 + backoffMs(attempt, clock.random()), signal)
  }
}

function hasEnded({ status }: Task): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled'
}
