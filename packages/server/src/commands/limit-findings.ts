import type { EnforcedLimits } from '../compute/local/local-host.ts'
import type { Finding } from './finding.ts'

const cgroupFix = 'run the server as root, or in a systemd unit with Delegate=yes'

/** The mechanism that enforces each limit of a sandbox, and a fix for each limit that is enforced only weakly. */
export function limitFindings(limits: EnforcedLimits, maxFilesOfHost: number | undefined): Finding[] {
  const { settings, memory, cpu, processes, disk, freezer, hasSocketMemory } = limits
  const mostFiles = settings.maxProcesses * settings.maxOpenFiles
  const [memoryText, diskText] = [mebibytes(settings.memoryBytes), mebibytes(settings.diskBytes)]
  const shared =
    "agents share the server's user and the kernel's limits per user: one agent can use them up and stop the server"
  return [
    ...(process.getuid?.() === 0 ? [] : [weak('users', shared, 'run the server as root')]),
    memory === 'watcher'
      ? weak('memory', `${memoryText}, ${watched}; it does not count memfds, pipes and sockets`, cgroupFix)
      : enforced('memory', memoryText, group(memory)),
    hasSocketMemory && memory !== 'watcher'
      ? enforced('sockets', 'the memory of TCP and UDP sockets is counted', group(memory))
      : weak('sockets', `nothing counts the memory of TCP and UDP sockets; ${uncounted}`, socketFix),
    maxFilesOfHost !== undefined && maxFilesOfHost < mostFiles * 2
      ? weak(
          'open files',
          `this machine allows ${maxFilesOfHost} (fs.file-max), and one agent can open ${mostFiles}`,
          `sysctl -w fs.file-max=${mostFiles * 100}`,
        )
      : enforced('open files', `${settings.maxOpenFiles} for each process`, "by the sandbox's rlimit"),
    cpu === 'nothing'
      ? weak('cpu', 'nothing limits the CPU time of a sandbox', cgroupFix)
      : enforced('cpu', `${settings.cpus} CPUs`, group(cpu)),
    enforced(
      'processes',
      `${settings.maxProcesses}`,
      processes === 'rlimit' ? "by the sandbox's rlimit" : group(processes),
    ),
    disk === 'watcher'
      ? weak(
          'disk',
          `${diskText}, ${watched}; it does not limit the number of files`,
          'run the server as root on a machine where it may mount images',
        )
      : enforced('disk', diskText, 'by a separate ext4 image'),
    enforced('freezing', 'a paused sandbox is frozen', freezer === 'signals' ? 'by SIGSTOP' : group(freezer)),
  ]
}

const uncounted = 'a watcher limits only their number'
const socketFix =
  'use control groups version 2, or version 1 with memory.kmem.tcp.limit_in_bytes; otherwise run the server in its own VM'
const watched = 'enforced by a watcher, which kills processes within 2 s of exceeding it'

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}

function group(version: 1 | 2): string {
  return `by control groups, version ${version}`
}

function enforced(name: string, what: string, by: string): Finding {
  return { name: `limit: ${name}`, state: 'ok', says: `${what} ${by}` }
}

function weak(name: string, says: string, fix: string): Finding {
  return { name: `limit: ${name}`, state: 'absent', says, fix }
}
