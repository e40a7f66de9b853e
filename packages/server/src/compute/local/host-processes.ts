import { readFile, readdir } from 'node:fs/promises'

/** A process as the host sees it. */
export interface HostProcess {
  pid: number
  /** Bytes of memory that are its own, or shared memory. */
  residentBytes: number
}

/** None where the process is gone, or not known. */
export async function childrenOf(pid: number | undefined): Promise<number[]> {
  if (pid === undefined) return []
  const found: number[] = []
  for (const thread of await readdir(`/proc/${pid}/task`).catch(() => [])) {
    const text = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')
    found.push(...text.split(' ').filter(Boolean).map(Number))
  }
  return found
}

/** All descendants of a process. */
export async function processesBelow(root: number | undefined): Promise<HostProcess[]> {
  const found: HostProcess[] = []
  const left = await childrenOf(root)
  for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
    found.push({ pid, residentBytes: await residentBytes(pid) })
    left.push(...(await childrenOf(pid)))
  }
  return found
}

/** Without the pages of files, which others share (proc(5), RssAnon and RssShmem). */
async function residentBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0)
  return (kib('RssAnon') + kib('RssShmem')) * 1024
}

/** The same with what processes share by a fork counted once among them; slow, so only for who seems to have too much. */
export async function shareBytes({ pid, residentBytes: atMost }: HostProcess): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  const parts = Array.from(text.matchAll(/^Pss_(?:Anon|Shmem):\s+(\d+) kB$/gm), ([, kib]) => Number(kib) * 1024)
  return parts.length === 0 ? atMost : parts.reduce((sum, part) => sum + part, 0)
}

/** False where there is no such process any more. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
