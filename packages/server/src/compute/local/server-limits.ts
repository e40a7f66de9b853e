import { readFile } from 'node:fs/promises'
import { SetupError } from '../../errors.ts'
import type { SandboxSettings } from './sandbox-options.ts'

/** Processes for the supervisor, in excess of those for code. The rlimit of code is lower (inside/worker.py). */
export const spareProcesses = 16

/**
 * Checks that the hard limits of this process allow the settings of sandboxes: a process cannot give its children more
 * than its own limits.
 *
 * @throws {SetupError} if a limit is too low; the message names it.
 */
export async function checkServerLimits(
  { maxOpenFiles, maxProcesses, diskBytes }: SandboxSettings,
  limits?: string,
): Promise<void> {
  const text = limits ?? (await readFile('/proc/self/limits', 'utf8').catch(() => ''))
  for (const [name, wanted, option, fix] of [
    [
      'open files',
      maxOpenFiles,
      'maxOpenFiles',
      'ulimit -Hn, LimitNOFILE= of a systemd unit, docker run --ulimit nofile=',
    ],
    ['processes', maxProcesses + spareProcesses, 'maxProcesses', 'ulimit -Hu, LimitNPROC= of a systemd unit'],
    ['file size', diskBytes, 'diskBytes', 'ulimit -Hf, LimitFSIZE= of a systemd unit'],
  ] as const) {
    const hard = new RegExp(`^Max ${name}\\s+\\S+\\s+(\\d+)\\s`, 'm').exec(text)?.[1] // no match: unlimited
    if (hard === undefined || Number(hard) >= wanted) continue
    throw new SetupError(
      `The hard limit of ${name} is ${hard} for this process, and sandboxes need ${wanted}. ` +
        `Raise it (${fix}) to ${wanted} or more, or lower the sandbox option ${option}.`,
    )
  }
}
