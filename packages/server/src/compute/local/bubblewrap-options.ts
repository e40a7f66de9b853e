import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import type { HostUser } from './host-uid.ts'
import { systemFiles } from './system-files.ts'

/** Host paths that are mounted in the sandbox of one agent. */
export interface SandboxFolders {
  workspace: string
  home: string
  /** Contains the sandbox's own files of /etc, its `meminfo` and `cpu-online`, and an empty file. */
  etc: string
  /** Node's binary, at a path that the sandbox's user can access. */
  node: string
  /** The folder with the program of the supervisor. */
  supervisor: string
  /** Further folders of the host, by their path in the sandbox. */
  mounts: Record<string, string>
  /** The socket for its network access; undefined if it has none. */
  egressSocket?: string | undefined
  /** The size limit of each folder in memory, in bytes. */
  tmpfsBytes: number
}

/** Descriptors of the bubblewrap process. */
export interface BubblewrapDescriptors {
  seccomp: number
  /** Bubblewrap writes the pid of the cloned process here. */
  status: number
  /** The cloned process waits for a byte here. */
  block: number
}

/** The sandbox's own files in /etc. */
const ownEtcFiles = ['passwd', 'group', 'hosts', 'nsswitch.conf']
const onlineFile = '/sys/devices/system/cpu/online'
const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty']

/**
 * Bubblewrap's options for one sandbox. A path that is not listed here does not exist in the sandbox.
 *
 * The uid inside equals the uid outside, so that tools of the host show the right one. Devices are bound one by one:
 * bubblewrap's `--dev` maps root into the namespace for devpts, and `/proc/self/uid_map` would then look as if the sandbox
 * were root. As a consequence there are no pseudo terminals.
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

    // The root is read-only: code can neither replace the socket nor change its mode.
    folders.egressSocket === undefined ? [] : ['--ro-bind', folders.egressSocket, '/run/theazo-egress'],
    ['--bind', folders.workspace, '/workspace', '--bind', folders.home, '/home/agent'],
    ['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', '/workspace'],
    // The environment of the supervisor; each exec has its own. Python must not read anything that code can write.
    ['--clearenv', '--setenv', 'LANG', 'C.UTF-8'],
  ].flat()
}

/** A system with merged /usr has links here; an older one has folders. */
function systemFolder(path: string): string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat) return []
  return stat.isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
}
