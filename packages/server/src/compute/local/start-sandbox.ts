import { SandboxStartError } from '../../errors.ts'
import { bubblewrapOptions, type SandboxFolders } from './bubblewrap-options.ts'
import type { Cgroup } from './cgroups.ts'
import type { HostUser } from './host-uid.ts'
import { launchedFds, type SandboxProcess } from './launcher.ts'
import type { LocalHost } from './local-host.ts'

/** What one sandbox is started from. */
export interface SandboxLaunch {
  user: HostUser
  folders: SandboxFolders
  /** Run as pid 1; it has a pipe to read from as descriptor 3 and one to write to as 4. */
  command: readonly string[]
  /** Takes the sandbox in before anything in it runs. */
  cgroup: Cgroup
}

/**
 * Starts a sandbox.
 *
 * @throws {SandboxStartError} where not even a process could be had.
 */
export async function startSandbox(
  { launcher, bubblewrapPath, seccomp }: Pick<LocalHost, 'launcher' | 'bubblewrapPath' | 'seccomp'>,
  { user, folders, command, cgroup }: SandboxLaunch,
): Promise<SandboxProcess> {
  const options = bubblewrapOptions(user, folders, launchedFds)
  // The options go by descriptor and the environment is bare: both are readable inside, in /proc/1.
  const bubblewrap = [bubblewrapPath, '--args', `${launchedFds.options}`, '--', ...command]
  try {
    return await launcher.startSandbox({ user, seccomp, options, cgroups: cgroup.paths, command: bubblewrap })
  } catch (cause) {
    throw new SandboxStartError(startFailure(cause instanceof Error ? cause.message : String(cause)), { cause })
  }
}

/** Why a sandbox did not start, for the operator. */
export function startFailure(complaint: string): string {
  const reason = complaint || 'it ended without a word'
  return `The sandbox did not start: ${reason}${adviceFor(reason)}`
}

function adviceFor(reason: string): string {
  if (/namespace|uid map|Operation not permitted/i.test(reason)) {
    return (
      ' (unprivileged user namespaces seem to be off: see sysctl kernel.unprivileged_userns_clone and ' +
      'kernel.apparmor_restrict_unprivileged_userns, or the seccomp profile of the container the server is in)'
    )
  }
  if (/No such file or directory|ENOENT/.test(reason))
    return ' (are bubblewrap and util-linux still installed? apt-get install bubblewrap util-linux)'
  return ''
}
