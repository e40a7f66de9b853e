import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { SandboxStartError } from '../../errors.ts'
import { bubblewrapOptions, type SandboxFolders } from './bubblewrap-options.ts'
import type { Cgroup } from './cgroups.ts'
import type { HostUser } from './host-uid.ts'
import type { OutputPipe, OutputPipes } from './output-pipes.ts'

/** What a sandbox's processes are started from. */
export interface SandboxLaunch {
  bubblewrapPath: string
  /** The system call filter. */
  seccomp: Buffer
  outputPipes: OutputPipes
  user: HostUser
  folders: SandboxFolders
  /** Run as pid 1; it has a pipe to read from as descriptor 3 and one to write to as 4. */
  command: readonly string[]
  /** Takes the sandbox in before anything in it runs. */
  cgroup: Cgroup
}

/** A sandbox that runs. */
export interface SandboxProcess {
  down: Writable
  up: Readable
  /** The host's pid of the sandbox's pid 1; undefined while it is not known, or where it never came. */
  firstPid: () => number | undefined
  /** Resolves when all of it is gone, with what was said on standard error. */
  ended: Promise<string>
  /** Kills all of it. */
  kill: () => void
}

/*
 * Outside the sandbox, already as its user: starts bubblewrap and ends the sandbox when told to, by SIGTERM. The server
 * sends it, and the kernel does when the server dies (setpriv --pdeathsig). Killing bubblewrap instead would orphan what
 * it has cloned, should that not yet have asked to die with its parent (containers/bubblewrap#633): it would run on, or
 * wait for good. So the guard kills the clone, which is pid 1 of the sandbox, and bubblewrap reaps it; where there is
 * none yet, it kills bubblewrap's process group, which a clone is born into.
 *
 * It first closes every descriptor that the server inherited and bubblewrap is not meant to have: a listening socket or
 * a log file would be open inside. Job control gives bubblewrap its group, and keeps SIGINT from being ignored inside.
 */
const guardScript = `
end() {
  ended=1
  [[ $bubblewrap ]] || return
  trap '' TERM # once is enough; the kernel tells of each thread of the server that dies
  read -ra clones < /proc/$bubblewrap/task/$bubblewrap/children
  if (( \${#clones[@]} )); then kill -KILL "\${clones[@]}"; else kill -KILL -- -$bubblewrap; fi
  kill -CONT $bubblewrap # or it would bury nothing, should anybody have stopped it
}
trap end TERM
[[ $PPID == "$1" ]] || exit 1 # the server died before its death could be told
for path in /proc/self/fd/*; do
  fd=\${path##*/}
  (( fd > $2 )) && exec {fd}>&-
done
last=$2
shift 2
set -m
exec {err}>&2 2> /dev/null # the shell's own remarks on a killed child are nobody's output
"$@" 2>&$err {err}>&- &
bubblewrap=$!
exec {err}>&-
for (( fd = 3; fd <= last; fd += 1 )); do exec {fd}>&-; done
[[ $ended ]] && end # it was told before it knew of bubblewrap
while wait $bubblewrap; code=$?; kill -0 $bubblewrap; do :; done # a signal cuts a wait short
exit $code
`

/** Descriptors of the child beyond its output. */
const fds = { down: 3, up: 4, options: 5, seccomp: 6, status: 7, block: 8 } as const
const maxComplaint = 4096

/**
 * Starts a sandbox.
 *
 * @throws {SandboxStartError} where not even a process could be had.
 */
export async function startSandbox(launch: SandboxLaunch): Promise<SandboxProcess> {
  const { bubblewrapPath, seccomp, outputPipes, user, folders, command, cgroup } = launch
  const bubblewrap = [bubblewrapPath, '--args', `${fds.options}`, '--', ...command]
  // The arguments go by descriptor and the environment is bare: both are readable inside, in /proc/1.
  const args = ['--pdeathsig', 'TERM', '/bin/bash', '--noprofile', '--norc', '-c', guardScript, 'guard']
    .concat(`${process.pid}`, `${fds.block}`)
    .concat(bubblewrap)
  const up = await outputPipes.take()
  const child = start(up, () =>
    spawn('/usr/bin/setpriv', args, {
      cwd: '/', // the server's own folder may be closed to the sandbox's user
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      detached: true, // a terminal's Ctrl-C is the server's to answer
      ...(process.getuid?.() === 0 && user), // libuv drops the supplementary groups with it
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', up.writeFd, 'pipe', 'pipe', 'pipe', 'pipe'],
    }),
  )
  const kill = (): void => {
    child.kill('SIGTERM') // the guard kills the rest, and ends when it is gone
    child.kill('SIGCONT') // should anybody have stopped it
  }
  let complaint = ''
  const ended = new Promise<string>((resolve) => {
    child.once('error', ({ message }) => resolve(message)).once('close', () => resolve(complaint.trim()))
  }).finally(() => up.output.destroy())
  const down = stream<Writable>(child, fds.down)?.on('error', () => {}) // that it has ended tells more
  if (child.pid === undefined || !down) throw new SandboxStartError(startFailure(await ended))
  child.stderr?.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(0, maxComplaint)))

  write(child, fds.seccomp, seccomp)
  write(
    child,
    fds.options,
    bubblewrapOptions(user, folders, fds)
      .map((option) => `${option}\0`)
      .join(''),
  )
  let firstPid: number | undefined
  const letGo = async (): Promise<void> => {
    firstPid = await toldPid(stream<Readable>(child, fds.status))
    if (firstPid === undefined) return // it ends by itself
    await cgroup.add(firstPid)
    write(child, fds.block, 'go')
  }
  letGo().catch((error: unknown) => {
    complaint ||= String(error)
    kill()
  })
  return { down, up: up.output, firstPid: () => firstPid, ended, kill }
}

/** Bubblewrap tells what it has cloned, which then waits. */
async function toldPid(status: Readable): Promise<number | undefined> {
  let told = ''
  for await (const chunk of status.iterator({ destroyOnReturn: false })) {
    told += String(chunk)
    const pid = /"child-pid": (\d+)/.exec(told)?.[1]
    if (pid === undefined) continue
    status.resume() // at its end it tells the exit code, which nobody needs
    return Number(pid)
  }
  return undefined
}

/** Some faults spawn throws (a user that cannot be had), others it tells as an event; neither may leak a pipe. */
function start(pipe: OutputPipe, spawnChild: () => ChildProcess): ChildProcess {
  try {
    return spawnChild()
  } catch (cause) {
    pipe.output.destroy()
    throw new SandboxStartError(`The sandbox did not start: ${String(cause)}`, { cause })
  } finally {
    pipe.closeWriteEnd()
  }
}

function stream<T extends Readable | Writable>(child: ChildProcess, fd: number): T {
  // Every entry of `stdio` from 3 on is a pipe; Node types them by index only up to 4.
  return child.stdio[fd] as T
}

function write(child: ChildProcess, fd: number, content: string | Buffer): void {
  // A process that ended early closes its end; its exit tells more than the broken pipe.
  stream<Writable>(child, fd)
    .on('error', () => {})
    .end(content)
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
  if (/No such file or directory/.test(reason))
    return ' (are bubblewrap and util-linux still installed? apt-get install bubblewrap util-linux)'
  return ''
}
