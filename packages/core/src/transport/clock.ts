/** The client's source of time and random numbers. Tests pass their own, so that they need not wait for a backoff. */
export interface Clock {
  /** Monotonic time in milliseconds. */
  now(): number
  /** Resolves after this many milliseconds. An abort rejects immediately with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** A random number from 0 (inclusive) to 1 (exclusive). */
  random(): number
}

/** The clock and the random numbers of the platform. */
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
