import type { EnforcedLimits } from '../compute/local/local-host.ts'
import type { Finding } from './finding.ts'

const cgroupFix = 'run the server as root, or in a systemd unit with Delegate=yes'

/** What holds each limit of a sandbox, and how to get better where something weaker does. */
export function limitFindings(limits: EnforcedLimits, maxFilesOfHost: number | undefined): Finding[] {
  const { settings, memory, cpu, processes, disk, freezer, hasSocketMemory } = limits
  const mostFiles = settings.maxProcesses * settings.maxOpenFiles
  const [memoryText, diskText] = [mebibytes(settings.memoryBytes), mebibytes(settings.diskBytes)]
  const shared = "agents share the server's user, and with it what the kernel counts for each user: one can use up all"
  return [
    ...(process.getuid?.() === 0 ? [] : [weak('users', `${shared}, and end the server`, 'run the server as root')]),
    memory === 'watcher'
      ? weak('memory', `${memoryText} ${watched}; it sees no memfd, pipe or socket`, cgroupFix)
      : held('memory', memoryText, group(memory)),
    hasSocketMemory && memory !== 'watcher'
      ? held('sockets', 'what TCP and UDP hold is counted', group(memory))
      : weak('sockets', `nothing counts what TCP and UDP hold in memory ${uncounted}`, socketFix),
    maxFilesOfHost !== undefined && maxFilesOfHost < mostFiles * 2
      ? weak(
          'open files',
          `this machine has ${maxFilesOfHost} (fs.file-max), and one agent can hold ${mostFiles}`,
          `sysctl -w fs.file-max=${mostFiles * 100}`,
        )
      : held('open files', `${settings.maxOpenFiles} of each process`, "by the sandbox's rlimit"),
    cpu === 'nothing'
      ? weak('cpu', 'nothing holds the CPU time of a sandbox', cgroupFix)
      : held('cpu', `${settings.cpus} CPUs`, group(cpu)),
    held(
      'processes',
      `${settings.maxProcesses}`,
      processes === 'rlimit' ? "by the sandbox's rlimit" : group(processes),
    ),
    disk === 'watcher'
      ? weak('disk', `${diskText} ${watched}; it counts no names`, 'run the server as root where it may mount images')
      : held('disk', diskText, 'by an ext4 image of its own'),
    held('freezing', 'a paused sandbox stands still', freezer === 'signals' ? 'by SIGSTOP' : group(freezer)),
  ]
}

const uncounted = 'but the number of sockets, which a watcher holds'
const socketFix =
  'control groups of version 2, or of version 1 with memory.kmem.tcp.limit_in_bytes; else give the server a VM of its own'
const watched = 'held by a watcher, which kills within 2 s what goes beyond'

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}

function group(version: 1 | 2): string {
  return `by control groups, version ${version}`
}

function held(name: string, what: string, by: string): Finding {
  return { name: `limit: ${name}`, state: 'ok', says: `${what} ${by}` }
}

function weak(name: string, says: string, fix: string): Finding {
  return { name: `limit: ${name}`, state: 'absent', says, fix }
}
