import { execFile } from 'node:child_process'

const timeoutMs = 60_000

/**
 * Bytes that a folder takes on its disk, holes and hard links counted as they are; undefined where it is gone.
 *
 * By `du` and not by our own walk: sandboxed code may make and move millions of names meanwhile, and that must not hold
 * this process.
 */
export function sizeOfTree(path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    // It exits with 1 where code has closed a folder or moves things; what it could see is then the answer.
    execFile('/usr/bin/du', ['-sx', '--block-size=1', '--', path], { env: {}, timeout: timeoutMs }, (_, stdout) => {
      const size = /^(\d+)\s/.exec(stdout)?.[1]
      resolve(size === undefined ? undefined : Number(size))
    })
  })
}
