/** Where the server takes time from; tests bring their own. */
export interface Clock {
  /** Milliseconds since the epoch. The machine's clock may be set back. */
  now(): number
  /** Milliseconds that only grow, from no particular start. */
  monotonic(): number
  /** Calls once after so many milliseconds; what it gives stops that. */
  after(ms: number, run: () => void): () => void
}

/** The longest that a timer of the platform waits (2^31 - 1 ms); a longer wait fires early, and whoever asked looks again. */
const maxTimerMs = 2_147_483_647

/** The machine's. Its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), maxTimerMs)).unref()
    return () => clearTimeout(timer)
  },
}

/** Calls again and again, each time so long after the work has ended; what it gives stops that and waits for a call under way. */
export function every(clock: Clock, ms: number, work: () => Promise<void>): () => Promise<void> {
  let underWay: Promise<void> = Promise.resolve()
  let isStopped = false
  const again = (): (() => void) =>
    clock.after(ms, () => {
      underWay = work().finally(() => {
        if (!isStopped) stop = again()
      })
    })
  let stop = again()
  return async () => {
    isStopped = true
    stop()
    await underWay
  }
}

/** True where the work ended in time; it goes on in any case. */
export async function endsWithin(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<false>()
  const stop = clock.after(ms, () => late.resolve(false))
  const isInTime = await Promise.race([work.then(() => true), late.promise])
  stop()
  return isInTime
}
