import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for work until the signal fires; the work itself continues. @throws the signal's reason. */
export async function orAbort<Value>(pending: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([pending, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Sleeps until the time is over or the signal fires. @throws the signal's reason; Node's own error has it as its cause only. */
export async function abortableSleep(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}
