import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { statusOf } from './host-processes.ts'

/** A process of a sandbox, as the host sees it. */
export interface SandboxProcess {
  pid: number
  parent: number
  name: string
  /** Its pid inside; undefined outside. */
  pidInside: number | undefined
}

/** The processes of an agent's sandbox, by role. */
export interface SandboxRoles {
  bubblewrap: SandboxProcess | undefined
  /** Pid 1 inside. */
  supervisor: SandboxProcess | undefined
  /** Children of the supervisor. */
  reapers: SandboxProcess[]
  all: SandboxProcess[]
}

/** @param uid the agent's own user, which only a root server gives to its agents. */
export function sandboxRoles(uid: number): SandboxRoles {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const status = statusOf(name)
      const field = (key: string): string => new RegExp(`^${key}:\t(.*)$`, 'm').exec(status)?.[1] ?? ''
      if (!field('Uid').startsWith(`${uid}\t`) || /^[ZX]/.test(field('State'))) return []
      const [, inside] = field('NSpid').split('\t')
      const pidInside = inside === undefined ? undefined : Number(inside)
      return [{ pid: Number(name), parent: Number(field('PPid')), name: field('Name'), pidInside }]
    })
  const byPid = new Map(all.map((found) => [found.pid, found]))
  // The parent of a sandbox that is ending is missing or dead.
  const supervisor = all.find(({ pidInside, parent }) => pidInside === 1 && byPid.has(parent))
  const bubblewrap = byPid.get(supervisor?.parent ?? 0)
  return { bubblewrap, supervisor, reapers: all.filter(({ parent }) => parent === supervisor?.pid), all }
}

/** Resources of the machine that a root server uses. */
export interface Holdings {
  descriptors: number
  /** Control groups of its sandboxes, by name. */
  groups: string[]
  /** Names in its temporary folder. */
  scratch: string[]
}

/** @param pid of the server. */
export function holdingsOf(pid: number): Holdings {
  const temporary = '/var/lib/theazo/temporary'
  const own = readdirSync(temporary).find((name) => name.startsWith(`${pid}-`))
  if (own === undefined) throw new Error(`${pid} has no temporary folder`)
  const scratch = join(temporary, own, 'scratch')
  const folders = readFileSync(join(scratch, 'cgroups'), 'utf8').split('\n').filter(Boolean)
  const groups = folders.flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(folder, name)),
  )
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    groups,
    scratch: readdirSync(scratch).toSorted(),
  }
}

/** Sends a signal. False if the process has ended, which may happen after it was listed. */
export function signal(process_: Pick<SandboxProcess, 'pid'> | undefined, name: NodeJS.Signals): boolean {
  if (process_ === undefined) return false
  try {
    return process.kill(process_.pid, name)
  } catch {
    return false
  }
}
