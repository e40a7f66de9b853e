/** The server's source of time; tests pass their own. */
export interface Clock {
  /** Milliseconds since the epoch. The machine's clock may be set back. */
  now(): number
  /** Monotonic milliseconds from an arbitrary start. */
  monotonic(): number
  /** Calls `run` once after the given milliseconds. @returns a function that cancels the call. */
  after(ms: number, run: () => void): () => void
}

/** Maximum wait of a platform timer (2^31 - 1 ms). A longer wait fires early, and its owner must check again. */
const maxTimerMs = 2_147_483_647

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), maxTimerMs)).unref()
    return () => clearTimeout(timer)
  },
}

/**
 * Calls `work` repeatedly, each time the given milliseconds after the last call has ended.
 *
 * @returns a function that stops this and waits for the present call.
 */
export function every(clock: Clock, ms: number, work: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> = Promise.resolve()
  let isStopped = false
  const schedule = (): (() => void) =>
    clock.after(ms, () => {
      current = work().finally(() => {
        if (!isStopped) stop = schedule()
      })
    })
  let stop = schedule()
  return async () => {
    isStopped = true
    stop()
    await current
  }
}

/** True if the work ends in time. After the timeout the work still continues. */
export async function endsWithin(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const timeout = Promise.withResolvers<false>()
  const stop = clock.after(ms, () => timeout.resolve(false))
  const isInTime = await Promise.race([work.then(() => true), timeout.promise])
  stop()
  return isInTime
}
