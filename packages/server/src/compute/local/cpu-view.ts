/**
 * How many CPUs programs are to start work for. A sandbox may run on all of the machine's, but not for more time than
 * `sandbox.cpus`: with a thread for each CPU of the machine it would be paused most of the time.
 *
 * @module
 */
import { availableParallelism } from 'node:os'

/** The text of a sandbox's `/sys/devices/system/cpu/online`, which C's `sysconf` counts, and with it Python and others. */
export function onlineCpus(limit: number): string {
  const last = shownCpus(limit) - 1
  return last === 0 ? '0\n' : `0-${last}\n`
}

/** What tells it to those that ask the kernel where they may run: `nproc`, OpenMP, OpenBLAS. */
export function cpuEnvironment(limit: number): Record<string, string> {
  const count = shownCpus(limit)
  return count < availableParallelism() ? { OMP_NUM_THREADS: String(count) } : {}
}

/** @param limit CPUs' worth of time. */
function shownCpus(limit: number): number {
  return Math.max(1, Math.min(Math.ceil(limit), availableParallelism()))
}
