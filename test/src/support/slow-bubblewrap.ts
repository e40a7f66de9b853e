import { execFileSync } from 'node:child_process'
import { chmodSync, closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { processesOf, statusOf } from './host-processes.ts'

/** A bubblewrap that stops in the middle of a sandbox's start while the test holds it. */
export interface SlowBubblewrap extends Disposable {
  /** The PATH for the server. */
  searchPath: string
  hold: () => void
  release: () => void
}

/**
 * A `bwrap` for the PATH that stops after bubblewrap has cloned the sandbox's first process, and before that process asks
 * to die with its parent: bubblewrap writes the clone's pid to a full pipe. Without the file `hold` it runs normally.
 */
export function slowBubblewrap(): SlowBubblewrap {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-bwrap-'))
  const [hold, full, path] = [join(folder, 'hold'), join(folder, 'full'), join(folder, 'bwrap')]
  execFileSync('/usr/bin/mkfifo', ['-m', '666', full])
  const real = execFileSync('bash', ['-c', 'type -P bwrap'], { encoding: 'utf8' }).trim()
  const script = [
    '#!/bin/bash',
    `[[ -e ${hold} ]] || exec ${real} "$@"`,
    `exec 9<>${full}`,
    'head -c 65536 /dev/zero >&9',
    `exec ${real} --info-fd 9 "$@"`,
  ]
  writeFileSync(path, `${script.join('\n')}\n`)
  chmodSync(path, 0o755)
  chmodSync(folder, 0o755)
  return {
    searchPath: `${folder}:${process.env['PATH']}`,
    hold: () => writeFileSync(hold, ''),
    release() {
      rmSync(hold)
      const fifo = openSync(full, constants.O_RDWR | constants.O_NONBLOCK)
      readSync(fifo, Buffer.alloc(65_536))
      closeSync(fifo)
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  }
}

/** Host pids of a user's processes that are pid 1 of a sandbox. */
export function firstProcessesOf(uid: number): string[] {
  return processesOf(uid).filter((pid) => /^NSpid:\t\d+\t1$/m.test(statusOf(pid)))
}

/** Kills the user's sandbox. The next exec starts a new one. */
export async function endSandbox(uid: number): Promise<void> {
  for (const pid of firstProcessesOf(uid)) process.kill(Number(pid), 'SIGKILL')
  await expect.poll(() => processesOf(uid, true)).toEqual([])
}
