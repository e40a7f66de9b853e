import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'

const timeoutMs = 60_000

/**
 * Bytes that a folder takes on its disk, holes and hard links counted as they are; undefined where it is gone; rejects where it cannot be measured.
 *
 * By `du` and not by our own walk: sandboxed code may make and move millions of names meanwhile, and that must not hold
 * this process.
 */
export function sizeOfTree(path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    // It exits with 1 where code has closed a folder or moves things; what it could see is then the answer.
    execFile('/usr/bin/du', ['-sx', '--block-size=1', '--', path], { env: {}, timeout: timeoutMs }, (error, stdout) => {
      const size = /^(\d+)\s/.exec(stdout)?.[1]
      if (size !== undefined) resolve(Number(size))
      else if (!existsSync(path)) resolve(undefined)
      else reject(new Error(`du could not measure ${path}`, { cause: error }))
    })
  })
}
