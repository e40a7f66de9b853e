import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { SandboxStartError } from '../../errors.ts'
import type { ExecOutcome, OutputSink } from '../compute-provider.ts'
import { bubblewrapOptions, type SandboxFolders } from './bubblewrap-options.ts'
import type { HostUser } from './host-uid.ts'

/** One process tree to run in a sandbox. */
export interface Launch {
  bubblewrapPath: string
  /** The system call filter. */
  seccomp: Buffer
  user: HostUser
  folders: SandboxFolders
  /** Put into the sandbox read-only: content by path inside. */
  files: Record<string, string>
  command: readonly string[]
}

/*
 * Outside the sandbox, already as its user. Two jobs before bubblewrap takes the process over:
 * - stdout and stderr become pipes: Node hands out sockets, and `> /dev/stdout` cannot open a socket;
 * - every descriptor that this process inherited and bubblewrap is not meant to have is closed. Bubblewrap would pass
 *   them on, and whatever the server was started with (a listening socket, a log file) would be open inside.
 */
const outerScript = `
exec > >(exec cat) 2> >(exec cat >&2)
for path in /proc/self/fd/*; do
  fd=\${path##*/}
  (( fd > $1 )) && exec {fd}>&-
done
shift
exec "$@"
`

/*
 * Inside, as pid 1, so that its end is the end of every process there, and bubblewrap has reaped it when it returns.
 * First the limits that hold without cgroups: core dumps, open files, processes (counted per sandbox, because the limit
 * is set in its user namespace), KiB of one file. Then a byte on a descriptor of its own, which tells a sandbox that
 * never came up from code that failed. The shell's own remarks on a killed child are nobody's output.
 */
const startedFd = 5
const innerScript = `
exec {err}>&2 2> /dev/null
ulimit -c 0; ulimit -n 4096; ulimit -u 512; ulimit -f 4194304
printf 1 >&${startedFd}; exec ${startedFd}>&-
"$@" 2>&$err {err}>&-
exit $?
`

const firstFileFd = 6

/**
 * Runs a command in a fresh sandbox and waits until all of it is gone.
 *
 * @throws the signal's reason, after everything was killed; {@link SandboxStartError} where the command never ran.
 */
export async function launch(launch: Launch, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome> {
  signal.throwIfAborted()
  const files = Object.entries(launch.files)
  const descriptors = Object.fromEntries(files.map(([path], index) => [path, firstFileFd + index]))
  const lastFd = firstFileFd + files.length - 1
  const startedAt = performance.now()

  // The arguments go by descriptor and the environment is bare: both are readable inside, in /proc/1.
  const child = spawn(
    '/bin/bash',
    ['--noprofile', '--norc', '-c', outerScript, 'launch', `${lastFd}`]
      .concat([
        launch.bubblewrapPath,
        '--args',
        '3',
        '--',
        '/bin/bash',
        '--noprofile',
        '--norc',
        '-c',
        innerScript,
        'start',
      ])
      .concat(launch.command),
    {
      cwd: '/', // the server's own folder may be closed to the sandbox's user
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      ...(process.getuid?.() === 0 && launch.user), // libuv drops the supplementary groups with it
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', ...files.map(() => 'pipe' as const)],
    },
  )
  const kill = (): void => void child.kill('SIGKILL') // die-with-parent takes the whole sandbox along
  signal.addEventListener('abort', kill, { once: true })
  try {
    const ended = waitForEnd(child)
    if (child.pid === undefined) return { exitCode: await ended, durationMs: 0 } // rejects: no process, perhaps no pipes
    const options = bubblewrapOptions(launch.user, launch.folders, { seccomp: 4, files: descriptors })
    write(child, 3, options.map((option) => `${option}\0`).join(''))
    write(child, 4, launch.seccomp)
    for (const [index, [, content]] of files.entries()) write(child, firstFileFd + index, content)

    let isStarted = false
    let complaint = ''
    stream<Readable>(child, startedFd).on('data', () => (isStarted = true))
    child.stdout?.on('data', (chunk: Buffer) => sink.stdout(chunk))
    child.stderr?.on('data', (chunk: Buffer) => {
      if (!isStarted && complaint.length < 4096) complaint += chunk.toString()
      sink.stderr(chunk)
    })
    const exitCode = await ended
    signal.throwIfAborted()
    if (!isStarted) throw new SandboxStartError(startFailure(complaint, exitCode))
    return { exitCode, durationMs: Math.round(performance.now() - startedAt) }
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

function waitForEnd(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new SandboxStartError(`The sandbox did not start: ${cause.message}`, { cause })),
    )
    // 'close' comes after the last byte of output, so when every process of the sandbox that could write is gone.
    child.once('close', (code) => resolve(code ?? 137)) // no code: bubblewrap itself was killed
  })
}

function stream<T extends Readable | Writable>(child: ChildProcess, fd: number): T {
  // Every entry of `stdio` above is a pipe; Node types them by index only up to 4.
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
