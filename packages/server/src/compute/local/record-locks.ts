import { open } from 'node:fs/promises'

/**
 * The maximum number of bytes that are read from the list: about 160,000 locks. Later locks are seen when these are
 * gone.
 */
const maxBytes = 8 * 1024 * 1024

/** Counts the record locks of each process (proc(5), `/proc/locks`), including those that a process waits for. */
export async function locksByPid(): Promise<ReadonlyMap<number, number>> {
  const counts = new Map<number, number>()
  for (const line of (await readStart('/proc/locks')).split('\n')) {
    // 12: -> POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF
    const pid = Number(/^\d+: (?:-> )?\w+\s+\w+\s+\w+\s+(\d+) /.exec(line)?.[1] ?? 0)
    if (pid > 0) counts.set(pid, (counts.get(pid) ?? 0) + 1)
  }
  return counts
}

async function readStart(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined)
  if (!file) return ''
  try {
    const chunks: Buffer[] = []
    for (let size = 0; size < maxBytes;) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(256 * 1024))
      if (bytesRead === 0) break
      chunks.push(buffer.subarray(0, bytesRead))
      size += bytesRead
    }
    return Buffer.concat(chunks).toString('latin1')
  } finally {
    await file.close()
  }
}
