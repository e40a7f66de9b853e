import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
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
 * Outside the sandbox, already as its user: closes every descriptor that this process inherited and bubblewrap is not
 * meant to have, and becomes bubblewrap. Bubblewrap would pass them on, and whatever the server was started with (a
 * listening socket, a log file) would be open inside.
 */
const outerScript = `
for path in /proc/self/fd/*; do
  fd=\${path##*/}
  (( fd > $1 )) && exec {fd}>&-
done
shift
exec "$@"
`

/** Descriptors of the child beyond its output; its files follow. */
const fds = { options: 3, seccomp: 4, started: 5, status: 6, firstFile: 7 } as const

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
  const args = ['--noprofile', '--norc', '-c', outerScript, 'launch', `${lastFd}`]
    .concat(bubblewrap, '-c', innerScript, 'start')
    .concat(command)
  const inputs = Array.from({ length: lastFd - 2 }, () => 'pipe' as const)
  const child = start(pipes, () =>
    spawn('/bin/bash', args, {
      cwd: '/', // the server's own folder may be closed to the sandbox's user
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      ...(process.getuid?.() === 0 && user), // libuv drops the supplementary groups with it
      stdio: ['ignore', ...pipes.map(({ writeFd }) => writeFd), ...inputs],
    }),
  )

  let status = ''
  const kill = (): void => killSandbox(child, status)
  signal.addEventListener('abort', kill, { once: true })
  try {
    const ended = waitForEnd(child)
    if (child.pid === undefined) return { exitCode: await ended, durationMs: 0 } // rejects: no process, perhaps no pipes
    if (signal.aborted) kill() // while the pipes were made
    const options = bubblewrapOptions(user, folders, { seccomp: fds.seccomp, status: fds.status, files: fileFds })
    write(child, fds.options, options.map((option) => `${option}\0`).join(''))
    write(child, fds.seccomp, seccomp)
    for (const [path, content] of Object.entries(files)) write(child, fileFds[path] ?? -1, content)

    let isStarted = false
    let complaint = ''
    stream<Readable>(child, fds.started).on('data', () => (isStarted = true))
    stream<Readable>(child, fds.status).on('data', (chunk: Buffer) => (status += chunk.toString()))
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

/**
 * Ends every process of the sandbox by ending its pid 1, which bubblewrap then reaps. Killing bubblewrap ends it too
 * (die-with-parent), but would leave a zombie to the host's init, which in a container may reap nothing.
 *
 * @param status what bubblewrap has told of its child so far, as JSON.
 */
function killSandbox(child: ChildProcess, status: string): void {
  const pid = Number(/"child-pid"\s*:\s*(\d+)/.exec(status)?.[1])
  if (pid && isChildOf(pid, child.pid)) process.kill(pid, 'SIGKILL')
  else child.kill('SIGKILL')
}

/** A pid that was told earlier may by now be another process's. */
function isChildOf(pid: number, parentPid: number | undefined): boolean {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8').includes(`\nPPid:\t${parentPid}\n`)
  } catch {
    return false
  }
}

function waitForEnd(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new SandboxStartError(`The sandbox did not start: ${cause.message}`, { cause }))
    })
    child.once('close', (code) => resolve(code ?? 137)) // no code: bubblewrap itself was killed
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
  if (/No such file or directory/.test(reason)) return ' (is bubblewrap still installed? apt-get install bubblewrap)'
  return ''
}
