import type { Clock } from '../clock.ts'

/** A timer that fires this much late says that the process itself was busy or stopped, not the code. */
const lateMs = 50
/** The longest time that is given back. */
const maxGraceMs = 2_000

/**
 * Calls once after so many milliseconds. If this process was blocked meanwhile, a little later: the end of code that was
 * in time may wait to be read, and must be read before the code is taken for late.
 *
 * @returns what stops it.
 */
export function afterDeadline(clock: Clock, ms: number, run: () => void): () => void {
  const startedAt = performance.now()
  let stop = clock.after(ms, () => {
    const behindMs = performance.now() - startedAt - ms
    if (behindMs < lateMs) return run()
    stop = clock.after(Math.min(behindMs, maxGraceMs), run)
  })
  return () => stop()
}
