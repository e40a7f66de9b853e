import { readFile, readdir } from 'node:fs/promises'

/** A process as the host sees it. */
export interface HostProcess {
  pid: number
  /** Bytes of its private memory and of shared memory. */
  residentBytes: number
}

/** Empty if the process is gone or unknown. */
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
  const remaining = await childrenOf(root)
  for (let pid = remaining.pop(); pid !== undefined; pid = remaining.pop()) {
    found.push({ pid, residentBytes: await residentBytes(pid) })
    remaining.push(...(await childrenOf(pid)))
  }
  return found
}

/** Without pages of files, which other processes share (proc(5), RssAnon and RssShmem). */
async function residentBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0)
  return (kib('RssAnon') + kib('RssShmem')) * 1024
}

/** The same, but pages that processes share after a fork are counted once in total. It is slow, so it is used only near a limit. */
export async function shareBytes({ pid, residentBytes: atMost }: HostProcess): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  const parts = Array.from(text.matchAll(/^Pss_(?:Anon|Shmem):\s+(\d+) kB$/gm), ([, kib]) => Number(kib) * 1024)
  return parts.length === 0 ? atMost : parts.reduce((sum, part) => sum + part, 0)
}

/** False if the process no longer exists. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
