import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { SandboxStartError } from '../../errors.ts'
import type { ExecOutcome, OutputSink } from '../compute-provider.ts'
import { bubblewrapOptions, type SandboxFolders } from './bubblewrap-options.ts'
import type { HostUser } from './host-uid.ts'
import type { OutputPipe, OutputPipes } from './output-pipes.ts'

/** One process tree to run in a sandbox. */
export interface Launch {
  bubblewrapPath: string
  /** The system call filter. */
  seccomp: Buffer
  outputPipes: OutputPipes
  user: HostUser
  folders: SandboxFolders
  /** Put into the sandbox read-only: content by path inside. */
  files: Record<string, string>
  command: readonly string[]
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
for (( fd = 3; fd <= last; fd += 1 )); do exec {fd}>&-; done
exec > /dev/null {err}>&-
[[ $ended ]] && end # it was told before it knew of bubblewrap
while wait $bubblewrap; code=$?; kill -0 $bubblewrap; do :; done # a signal cuts a wait short
exit $code
`

/** Descriptors of the child beyond its output; its files follow. */
const fds = { options: 3, seccomp: 4, started: 5, firstFile: 6 } as const

/*
 * Inside, as pid 1, so that its end is the end of every process there, and bubblewrap has reaped it when it returns.
 * First the limits that hold without cgroups: core dumps, open files, processes (counted per sandbox, because the limit
 * is set in its user namespace), KiB of one file. Then a byte on a descriptor of its own, which tells a sandbox that
 * never came up from code that failed. The shell's own remarks on a killed child are nobody's output.
 */
const innerScript = `
exec {err}>&2 2> /dev/null
ulimit -c 0; ulimit -n 4096; ulimit -u 512; ulimit -f 4194304
printf 1 >&${fds.started}; exec ${fds.started}>&-
"$@" 2>&$err {err}>&-
exit $?
`

/**
 * Runs a command in a fresh sandbox and waits until all of it is gone.
 *
 * @throws the signal's reason, after everything was killed; {@link SandboxStartError} where the command never ran.
 */
export async function launch(
  { bubblewrapPath, seccomp, outputPipes, user, folders, files, command }: Launch,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<ExecOutcome> {
  signal.throwIfAborted()
  const fileFds = Object.fromEntries(Object.keys(files).map((path, index) => [path, fds.firstFile + index]))
  const lastFd = fds.firstFile + Object.keys(files).length - 1
  const bubblewrap = [bubblewrapPath, '--args', `${fds.options}`, '--', '/bin/bash', '--noprofile', '--norc']
  const startedAt = performance.now()

  const pipes = [await outputPipes.take(), await outputPipes.take()]
  const [stdout, stderr] = pipes.map(({ output }) => output)
  // The arguments go by descriptor and the environment is bare: both are readable inside, in /proc/1.
  const args = ['--pdeathsig', 'TERM', '/bin/bash', '--noprofile', '--norc', '-c', guardScript, 'guard']
    .concat(`${process.pid}`, `${lastFd}`, bubblewrap, '-c', innerScript, 'start')
    .concat(command)
  const inputs = Array.from({ length: lastFd - 2 }, () => 'pipe' as const)
  const child = start(pipes, () =>
    spawn('/usr/bin/setpriv', args, {
      cwd: '/', // the server's own folder may be closed to the sandbox's user
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      detached: true, // a terminal's Ctrl-C is the server's to answer
      ...(process.getuid?.() === 0 && user), // libuv drops the supplementary groups with it
      stdio: ['ignore', ...pipes.map(({ writeFd }) => writeFd), ...inputs],
    }),
  )

  const kill = (): void => void child.kill('SIGTERM') // the guard kills the rest, and ends when it is gone
  signal.addEventListener('abort', kill, { once: true })
  try {
    const ended = waitForEnd(child)
    if (child.pid === undefined) return { exitCode: await ended, durationMs: 0 } // rejects: no process, perhaps no pipes
    if (signal.aborted) kill() // while the pipes were made
    const options = bubblewrapOptions(user, folders, { seccomp: fds.seccomp, files: fileFds })
    write(child, fds.options, options.map((option) => `${option}\0`).join(''))
    write(child, fds.seccomp, seccomp)
    for (const [path, content] of Object.entries(files)) write(child, fileFds[path] ?? -1, content)

    let isStarted = false
    let complaint = ''
    stream<Readable>(child, fds.started).on('data', () => (isStarted = true))
    stdout?.on('data', (chunk: Buffer) => sink.stdout(chunk))
    stderr?.on('data', (chunk: Buffer) => {
      if (!isStarted && complaint.length < 4096) complaint += chunk.toString()
      sink.stderr(chunk)
    })
    const [exitCode] = await Promise.all([ended, ...pipes.map(({ output }) => once(output, 'close'))])
    signal.throwIfAborted()
    if (!isStarted) throw new SandboxStartError(startFailure(complaint, exitCode))
    return { exitCode, durationMs: Math.round(performance.now() - startedAt) }
  } finally {
    signal.removeEventListener('abort', kill)
    for (const { output } of pipes) output.destroy()
  }
}

/** Some faults spawn throws (a user that cannot be had), others it tells as an event; neither may leak a pipe. */
function start(pipes: readonly OutputPipe[], spawnChild: () => ChildProcess): ChildProcess {
  try {
    return spawnChild()
  } catch (cause) {
    for (const { output } of pipes) output.destroy()
    throw new SandboxStartError(`The sandbox did not start: ${String(cause)}`, { cause })
  } finally {
    for (const pipe of pipes) pipe.closeWriteEnd()
  }
}

function waitForEnd(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new SandboxStartError(`The sandbox did not start: ${cause.message}`, { cause }))
    })
    child.once('close', (code) => resolve(code ?? 137)) // no code: the guard itself was killed
  })
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

function startFailure(complaint: string, exitCode: number): string {
  const reason = complaint.trim() || `exit code ${exitCode} without a word`
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
