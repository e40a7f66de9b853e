import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import type { HostUser } from './host-uid.ts'
import { systemFiles } from './system-files.ts'

/** Host paths that one agent's sandbox is made of. */
export interface SandboxFolders {
  workspace: string
  home: string
  /** Holds what the sandbox has of its own in /etc, its `meminfo` and `cpu-online`, and a file that is empty. */
  etc: string
  /** Node's binary, at a place the host user can reach. */
  node: string
  /** The supervisor's program. */
  supervisor: string
  /** Further folders of the host, by their place inside. */
  mounts: Record<string, string>
  /** The socket of its way out, where it has one. */
  egressSocket?: string | undefined
  /** Bytes that each folder in memory may hold. */
  tmpfsBytes: number
}

/** Descriptors that bubblewrap uses, numbered as it has them. */
export interface BubblewrapDescriptors {
  seccomp: number
  /** It tells the pid of what it has cloned here. */
  status: number
  /** What it has cloned waits for a byte here. */
  block: number
}

/** Files of the sandbox's own in /etc. */
const ownEtcFiles = ['passwd', 'group', 'hosts', 'nsswitch.conf']
const onlineFile = '/sys/devices/system/cpu/online'
const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty']

/**
 * Bubblewrap's options for one sandbox. Everything that is not named here is not there.
 *
 * The uid inside is the uid outside, so that what a host tool shows of the sandbox needs no translation. Devices are
 * bound one by one: bubblewrap's `--dev` maps root into the namespace for devpts, and with it `/proc/self/uid_map`
 * would read as if the sandbox were root; the price is that there are no pseudo terminals.
 */
export function bubblewrapOptions(user: HostUser, folders: SandboxFolders, fds: BubblewrapDescriptors): string[] {
  const tmpfsBytes = String(folders.tmpfsBytes)
  return [
    ['--unshare-user', '--uid', `${user.uid}`, '--gid', `${user.gid}`, '--disable-userns'],
    ['--unshare-ipc', '--unshare-pid', '--as-pid-1', '--unshare-net', '--unshare-uts', '--unshare-cgroup'],
    ['--hostname', 'sandbox', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    ['--seccomp', `${fds.seccomp}`, '--json-status-fd', `${fds.status}`, '--block-fd', `${fds.block}`],

    ['--ro-bind', '/usr', '/usr'],
    ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'].flatMap(systemFolder),
    systemFiles(`${folders.etc}/empty`),
    existsSync(onlineFile) ? ['--ro-bind', `${folders.etc}/cpu-online`, onlineFile] : [],
    ownEtcFiles.flatMap((name) => ['--ro-bind', `${folders.etc}/${name}`, `/etc/${name}`]),
    ['--ro-bind', folders.node, '/opt/node/bin/node', '--ro-bind', folders.supervisor, '/opt/theazo'],
    ['/usr/local/bin/java', '/usr/bin/java'].some((path) => existsSync(path))
      ? ['--symlink', '/opt/theazo/java.sh', '/opt/node/bin/java']
      : [],
    Object.entries(folders.mounts).flatMap(([inside, outside]) => ['--ro-bind', outside, inside]),

    ['--proc', '/proc', '--ro-bind', `${folders.etc}/meminfo`, '/proc/meminfo', '--tmpfs', '/dev'],
    devices.flatMap((name) => ['--dev-bind', `/dev/${name}`, `/dev/${name}`]),
    ['--symlink', '/proc/self/fd', '/dev/fd', '--symlink', '/proc/self/fd/0', '/dev/stdin'],
    ['--symlink', '/proc/self/fd/1', '/dev/stdout', '--symlink', '/proc/self/fd/2', '/dev/stderr'],
    ['/dev/shm', '/tmp'].flatMap((path) => ['--size', tmpfsBytes, '--perms', '1777', '--tmpfs', path]),
    ['--size', tmpfsBytes, '--perms', '0700', '--tmpfs', '/run/theazo'],

    // Below the read-only root: code can neither replace it nor change its mode.
    folders.egressSocket === undefined ? [] : ['--ro-bind', folders.egressSocket, '/run/theazo-egress'],
    ['--bind', folders.workspace, '/workspace', '--bind', folders.home, '/home/agent'],
    ['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', '/workspace'],
    // The supervisor's; code gets its own with each exec. Python reads nothing from where code can write.
    ['--clearenv', '--setenv', 'LANG', 'C.UTF-8'],
  ].flat()
}

/** A merged-/usr system has links here; an older one folders. */
function systemFolder(path: string): string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat) return []
  return stat.isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
}
