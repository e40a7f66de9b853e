import { abortable } from '../transport/abortable.ts'

/** The end of the last task of each agent, while tasks run or wait. */
const ends = new Map<string, Promise<void>>()

/**
 * Waits until no other task of this process runs on the agent: an agent does one task at a time, and a model may call
 * `run_task` several times in one message.
 *
 * @returns the turn. Its disposal ends the turn.
 * @throws the signal's reason; the next in line then takes the turn.
 */
export async function turnOf(agentId: string, signal: AbortSignal | undefined): Promise<AsyncDisposable> {
  const before = ends.get(agentId)
  const { promise: end, resolve } = Promise.withResolvers<void>()
  const chained = before ? before.then(() => end) : end
  ends.set(agentId, chained)
  void forgetAfter(chained, agentId)
  try {
    if (before) await abortable(before, signal)
  } catch (error) {
    resolve() // those behind it still wait for the tasks before it
    throw error
  }
  return {
    [Symbol.asyncDispose]: async () => resolve(),
  }
}

async function forgetAfter(chained: Promise<void>, agentId: string): Promise<void> {
  await chained
  if (ends.get(agentId) === chained) ends.delete(agentId)
}
