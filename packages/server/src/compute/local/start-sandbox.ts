import { SandboxStartError } from '../../errors.ts'
import { bubblewrapOptions, type SandboxFolders } from './bubblewrap-options.ts'
import type { Cgroup } from './cgroups.ts'
import type { HostUser } from './host-uid.ts'
import { launchedFds, type SandboxProcess } from './launcher.ts'
import type { LocalHost } from './local-host.ts'

/** Describes the start of one sandbox. */
export interface SandboxLaunch {
  user: HostUser
  folders: SandboxFolders
  /** The program of pid 1. It reads frames from descriptor 3, and writes frames to descriptor 4. */
  command: readonly string[]
  /** The sandbox is added to it before anything in it runs. */
  cgroup: Cgroup
}

/**
 * Starts a sandbox.
 *
 * @throws {SandboxStartError} if no process was started.
 */
export async function startSandbox(
  { launcher, bubblewrapPath, seccomp }: Pick<LocalHost, 'launcher' | 'bubblewrapPath' | 'seccomp'>,
  { user, folders, command, cgroup }: SandboxLaunch,
): Promise<SandboxProcess> {
  const options = bubblewrapOptions(user, folders, launchedFds)
  // Code can read the command line and the environment in /proc/1, so the options are passed by descriptor.
  const bubblewrap = [bubblewrapPath, '--args', `${launchedFds.options}`, '--', ...command]
  try {
    return await launcher.startSandbox({ user, seccomp, options, cgroups: cgroup.paths, command: bubblewrap })
  } catch (cause) {
    throw new SandboxStartError(startFailure(cause instanceof Error ? cause.message : String(cause)), { cause })
  }
}

/** A message for the operator about why a sandbox did not start. */
export function startFailure(complaint: string): string {
  const reason = complaint || 'it ended without an error message'
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
