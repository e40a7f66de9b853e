import { totalmem } from 'node:os'

/**
 * The text of a sandbox's `/proc/meminfo` (proc(5)): its own memory, which is what `free` shows, and what runtimes choose
 * the size of their heap by. The kernel's own text is the whole machine's.
 */
export function meminfo(limitBytes: number): string {
  const total = Math.floor(Math.min(limitBytes, totalmem()) / 1024)
  const of = (kibibytes: number, names: readonly string[]): string =>
    names.map((name) => `${`${name}:`.padEnd(16)}${String(kibibytes).padStart(8)} kB\n`).join('')
  return of(total, ['MemTotal', 'MemFree', 'MemAvailable']) + of(0, unused)
}

const unused = [
  'Buffers',
  'Cached',
  'SwapCached',
  'Active',
  'Inactive',
  'SwapTotal',
  'SwapFree',
  'Shmem',
  'SReclaimable',
]
