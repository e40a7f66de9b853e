import type { Clock } from '@theazo/core'

/**
 * A clock on which waiting takes no time: it is written down, and the clock is then that much later.
 *
 * Timers of the platform (deadlines, idle times) are not touched.
 */
export class TestClock implements Clock {
  /** Every wait that was asked for, in milliseconds. */
  readonly sleeps: number[] = []
  /** Runs during each wait, e.g. to bring a server back. */
  whileAsleep: (ms: number) => unknown = () => {}
  readonly #random: number
  #skippedMs = 0

  /** @param random what chance always gives. */
  constructor(random = 0.5) {
    this.#random = random
  }

  now(): number {
    return performance.now() + this.#skippedMs
  }

  random(): number {
    return this.#random
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.sleeps.push(ms)
    const aborted = Promise.withResolvers<never>()
    const onAbort = (): void => aborted.reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([aborted.promise, this.whileAsleep(ms)])
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    this.#skippedMs += ms
  }
}
