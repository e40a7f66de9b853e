import { readFileSync } from 'node:fs'

/** A timer that fires this much late says that this process was busy or stopped itself. */
const lateMs = 50

/** How silence is judged. */
export interface SilenceOptions {
  /** Milliseconds of silence. */
  ms: number
  /** Milliseconds after which silence ends the wait whatever its cause. */
  maxMs: number
  /** The process that is silent; undefined while it is not known. */
  pid: () => number | undefined
  /** When something was heard of it last, by `performance.now()`. Default: never. */
  heardAt?: () => number
}

/**
 * Calls once after so much silence. It is not called as long as the cause may be the machine: if this process was late
 * itself, so that an answer may only wait to be read, or if the other one wants to run and has no CPU.
 *
 * @returns what stops it.
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

/** Runnable, or waiting for a disk: it would go on if the machine let it (proc(5), stat). One that is not known starts. */
function wantsToRun(pid: number | undefined): boolean {
  if (pid === undefined) return true
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return /^[RD]/.test(text.slice(text.lastIndexOf(')') + 2))
  } catch {
    return false // gone
  }
}
