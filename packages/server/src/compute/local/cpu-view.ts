/**
 * The number of CPUs that programs in a sandbox see. A sandbox may run on all CPUs of the machine, but its CPU time is limited
 * to `sandbox.cpus`: with a thread for each CPU of the machine, it would be paused most of the time.
 *
 * @module
 */
import { availableParallelism } from 'node:os'

/** The text of a sandbox's `/sys/devices/system/cpu/online`, which `sysconf` of C reads, and so Python and others. */
export function onlineCpus(limit: number): string {
  const last = shownCpus(limit) - 1
  return last === 0 ? '0\n' : `0-${last}\n`
}

/** Environment variables for programs that ask the kernel for the CPUs of a process instead: `nproc`, OpenMP, OpenBLAS. */
export function cpuEnvironment(limit: number): Record<string, string> {
  const count = shownCpus(limit)
  return count < availableParallelism() ? { OMP_NUM_THREADS: String(count) } : {}
}

/** @param limit of CPU time, in CPUs. */
function shownCpus(limit: number): number {
  return Math.max(1, Math.min(Math.ceil(limit), availableParallelism()))
}
