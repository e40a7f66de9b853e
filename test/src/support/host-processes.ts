import { readdirSync, readFileSync } from 'node:fs'

/** Pids of every process of a host user. @param zombies default: without zombies. */
export function processesOf(uid: number, zombies = false): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const status = statusOf(pid)
      return new RegExp(`^Uid:\t${uid}\t`, 'm').test(status) && (zombies || !/^State:\tZ/m.test(status))
    })
}

/** The arguments of a process, with a space between them; empty if it has ended. */
export function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** The status file of a process in /proc; empty if it has ended. */
export function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return '' // it ended after it was listed
  }
}

/** Bytes of memory that a process has now, or had at most (`VmHWM`). */
export function residentBytes(pid: number | string, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(statusOf(String(pid)))?.[1]
  return Number(kibibytes) * 1024
}
