import { abortable } from '../transport/abortable.ts'

/** Waits for the promise that a callback returned, until the signal of the call fires. */
export async function awaitCallback(pending: unknown, signal: AbortSignal): Promise<void> {
  if (typeof pending === 'object' && pending !== null && 'then' in pending)
    await abortable(Promise.resolve(pending), signal)
  signal.throwIfAborted()
}
