import { abortable } from '../transport/abortable.ts'
import { isThenable } from '../transport/is-thenable.ts'

/** Waits for the promise that a callback returned, until the signal of the call fires. */
export async function awaitCallback(pending: unknown, signal: AbortSignal): Promise<void> {
  if (isThenable(pending)) await abortable(Promise.resolve(pending), signal)
  signal.throwIfAborted()
}
