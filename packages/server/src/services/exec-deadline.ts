import type { Clock } from '../clock.ts'

/** A timer that fires later than this means that this process was blocked. */
const lateMs = 50
/** Maximum extension of the deadline. */
const maxGraceMs = 2_000

/**
 * Calls `run` once after the given milliseconds. If this process was blocked, it calls later: code may have ended in time
 * with its end still unread, and must not be treated as late.
 *
 * @returns a function that cancels the call.
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
