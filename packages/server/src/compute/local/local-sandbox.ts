import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SandboxEndedError, SandboxStartError } from '../../errors.ts'
import type { ExecOutcome, ExecRequest, OutputSink, Sandbox } from '../compute-provider.ts'
import type { SandboxFolders } from './bubblewrap-options.ts'
import type { HostUser } from './host-uid.ts'
import { bashPath, languages, nodePath, pythonPath } from './languages.ts'
import { launch } from './launch.ts'
import type { LocalHost } from './local-provider.ts'
import { removeTree } from './remove-tree.ts'

/** One agent's folders, and the processes of its execs while they run. */
export class LocalSandbox implements Sandbox {
  readonly id: string
  readonly #host: LocalHost
  readonly #user: HostUser
  readonly #path: string
  readonly #folders: SandboxFolders
  readonly #onGone: () => void
  /** Aborted by stop: no exec can start after it. */
  readonly #ended = new AbortController()
  readonly #running = new Set<Promise<unknown>>()

  constructor(id: string, host: LocalHost, onGone: () => void) {
    this.id = id
    this.#host = host
    this.#user = host.userOf(id)
    this.#path = join(host.agentsPath, id)
    this.#folders = {
      workspace: join(this.#path, 'workspace'),
      home: join(this.#path, 'home'),
      etc: join(this.#path, 'etc'),
      node: host.nodePath,
    }
    this.#onGone = onGone
  }

  exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal): Promise<ExecOutcome> {
    const { codePath, files, command } = languages[request.lang]
    return this.#launch({ ...files, [codePath]: request.code }, command, sink, signal)
  }

  async terminate(): Promise<void> {
    await this.stop()
    await removeTree(this.#path)
    this.#onGone()
  }

  /** Kills what runs and waits until it is gone; the files stay. */
  async stop(): Promise<void> {
    this.#ended.abort(new SandboxEndedError('The sandbox ended while the code ran.'))
    await Promise.allSettled(this.#running)
  }

  /** The umask of whoever started the server must not decide who can read what: every mode is set outright. */
  async makeFolders(): Promise<void> {
    const { workspace, home, etc } = this.#folders
    const { uid, gid } = this.#user
    await mkdir(this.#path)
    await chmod(this.#path, 0o711)
    for (const folder of [workspace, home]) {
      await mkdir(folder)
      await chmod(folder, 0o700)
      if (process.getuid?.() === 0) await chown(folder, uid, gid)
    }
    await mkdir(etc)
    await chmod(etc, 0o755)
    await writeReadable(join(etc, 'passwd'), `agent:x:${uid}:${gid}:agent:/home/agent:/bin/bash\n`)
    await writeReadable(join(etc, 'group'), `agent:x:${gid}:\n`)
    await writeReadable(join(etc, 'hosts'), '127.0.0.1 localhost sandbox\n::1 localhost sandbox\n')
  }

  async hasFolders(): Promise<boolean> {
    const found = await stat(this.#folders.workspace).catch(() => undefined)
    return found?.isDirectory() === true
  }

  /**
   * Starts the sandbox once and looks at it from inside.
   *
   * @throws {SandboxStartError} where it does not start, is not isolated, or lacks an interpreter.
   */
  async check(): Promise<void> {
    if (this.#user.uid === 0) throw new SandboxStartError('The sandbox would run as root, which it never may.')
    const command = [bashPath, '-c', checkScript, 'check', `${this.#user.uid}`, pythonPath, nodePath]
    let said = ''
    const collect = (chunk: Uint8Array): void => void (said += Buffer.from(chunk).toString())
    const { exitCode } = await this.#launch(
      {},
      command,
      { stdout: collect, stderr: collect },
      AbortSignal.timeout(30_000),
    )
    if (exitCode !== 0) throw new SandboxStartError(`The sandbox is not usable: ${said.trim()}`)
  }

  /** Code may close its own working directory; nothing would start in it any more. The path cannot be a link of its making. */
  async #reopenWorkspace(): Promise<void> {
    const { workspace } = this.#folders
    const found = await stat(workspace).catch(() => undefined)
    if (!found) throw new SandboxStartError('The sandbox did not start: its files are gone.')
    if ((found.mode & 0o700) !== 0o700) await chmod(workspace, (found.mode & 0o777) | 0o700)
  }

  async #launch(
    files: Record<string, string>,
    command: readonly string[],
    sink: OutputSink,
    signal: AbortSignal,
  ): Promise<ExecOutcome> {
    const what = { ...this.#host, user: this.#user, folders: this.#folders, files, command }
    const either = AbortSignal.any([signal, this.#ended.signal])
    const run = this.#reopenWorkspace().then(() => launch(what, sink, either))
    this.#running.add(run)
    try {
      return await run
    } finally {
      this.#running.delete(run)
    }
  }
}

const checkScript = `
fail() { echo "$1"; exit 1; }
read -r _ outside _ < /proc/self/uid_map
[[ $EUID == "$1" && $outside == "$1" ]] || fail "it runs as uid $EUID ($outside outside) and not as $1"
[[ -w /proc/sys/kernel/core_pattern ]] && fail 'it could write to /proc/sys, so it is root outside'
[[ -w /workspace && -w /home/agent ]] || fail '/workspace is not writable'
[[ -x $2 ]] || fail "there is no $2: apt-get install python3"
[[ -x $3 ]] || fail "Node's binary is not readable at its place"
exit 0
`

async function writeReadable(path: string, content: string): Promise<void> {
  await writeFile(path, content)
  await chmod(path, 0o644)
}
