import { readFileSync } from 'node:fs'

/** If a timer fires this much too late, this process itself was busy or stopped. */
const lateMs = 50

/** Options of {@link afterSilence}. */
export interface SilenceOptions {
  /** Milliseconds of silence. */
  ms: number
  /** Milliseconds after which the silence counts whatever its cause. */
  maxMs: number
  /** The process that is silent; undefined while it is not known. */
  pid: () => number | undefined
  /** When it last sent something, by `performance.now()`. Default: never. */
  heardAt?: () => number
}

/**
 * Calls `run` once after this time of silence. The call is delayed if the machine may be the cause: if this process itself
 * was late, so that an answer may wait to be read, or if the other process wants to run and has no CPU.
 *
 * @returns a function that stops the wait.
 */
export function afterSilence({ ms, maxMs, pid, heardAt = () => 0 }: SilenceOptions, run: () => void): () => void {
  const endsAt = performance.now() + maxMs
  let timer: NodeJS.Timeout
  const wait = (forMs: number): void => {
    const dueAt = performance.now() + forMs
    timer = setTimeout(() => {
      const now = performance.now()
      const sinceMs = now - heardAt()
      if (now - dueAt > lateMs) return wait(ms)
      if (sinceMs < ms) return wait(ms - sinceMs)
      if (now < endsAt && wantsToRun(pid())) return wait(ms)
      run()
    }, forMs)
  }
  wait(ms)
  return () => clearTimeout(timer)
}

/** True if it is runnable or waits for a disk (proc(5), stat). An unknown process is assumed to be starting. */
function wantsToRun(pid: number | undefined): boolean {
  if (pid === undefined) return true
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return /^[RD]/.test(text.slice(text.lastIndexOf(')') + 2))
  } catch {
    return false // gone
  }
}
