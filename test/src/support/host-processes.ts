import { readdirSync, readFileSync } from 'node:fs'

/** Every process of a host user; zombies count only where they are asked for. */
export function processesOf(uid: number, zombies = false): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const status = statusOf(pid)
      return new RegExp(`^Uid:\t${uid}\t`, 'm').test(status) && (zombies || !/^State:\tZ/m.test(status))
    })
}

/** Its arguments, with a space between them; empty once it is gone. */
export function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** What /proc says of it; empty once it is gone. */
export function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return '' // gone between the listing and the look
  }
}
