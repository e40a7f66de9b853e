import { totalmem } from 'node:os'

/**
 * The text of a sandbox's `/proc/meminfo` (proc(5)): the memory of the sandbox, not of the machine. `free` shows it, and
 * runtimes derive the size of their heap from it. It contains the limit, not how much is in use.
 */
export function meminfo(limitBytes: number): string {
  const total = Math.floor(Math.min(limitBytes, totalmem()) / 1024)
  return lines(total, ['MemTotal', 'MemFree', 'MemAvailable']) + lines(0, unused)
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

function lines(kibibytes: number, names: readonly string[]): string {
  return names.map((name) => `${`${name}:`.padEnd(16)}${String(kibibytes).padStart(8)} kB\n`).join('')
}
