/** Time and chance, as the client sees them; a test gives its own, so that no test need wait for a backoff. */
export interface Clock {
  /** Milliseconds that only grow. */
  now(): number
  /** Resolves after this many milliseconds; an abort rejects at once with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** From 0 up to but not including 1. */
  random(): number
}

/** The platform's. */
export const systemClock: Clock = {
  now: () => performance.now(),
  random: () => Math.random(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const onAbort = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  },
}
