import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { signalProcess } from './host-processes.ts'
import type { HostUser } from './host-uid.ts'
import { type Answer, Answers, order } from './launcher-messages.ts'
import { type RunTool, ToolError, toolPath } from './run-tool.ts'

/** Descriptors of a sandbox's bubblewrap, as `launcher/children.py` numbers them. Its pid 1 reads 3 and writes to 4. */
export const launchedFds = { options: 5, seccomp: 6, status: 7, block: 8 } as const

/** An order to start a sandbox. */
export interface SandboxOrder {
  user: HostUser
  /** The system call filter. */
  seccomp: Uint8Array
  /** Bubblewrap's options, which it reads by descriptor. */
  options: readonly string[]
  /** Folders of control groups; the sandbox is added to them before anything in it runs. */
  cgroups: readonly string[]
  /** Bubblewrap and its command-line arguments. */
  command: readonly string[]
}

/** A running sandbox. */
export interface SandboxProcess {
  /** Pipes to the sandbox's pid 1, and from it. */
  down: Writable
  up: Readable
  /** The pid on the host of the sandbox's pid 1; undefined as long as it is unknown. */
  firstPid: () => number | undefined
  /** Resolves when all processes are gone, with the standard error output. */
  ended: Promise<string>
  /** Kills all processes. */
  kill: () => void
}

/** An event of a process that was started. */
type ChildEvent = Answer | { kind: 'lost'; reason: string }
type Listener = (event: ChildEvent) => void

const program = fileURLToPath(new URL('launcher/launcher.py', import.meta.url))
const maxComplaint = 4096
/** A start takes a few milliseconds; a launcher that takes this long is stuck. */
const startMs = 30_000

/**
 * Starts processes on the machine. A fork of this process would stall it, so a small process beside it starts them
 * (`launcher/launcher.py`). That process also kills sandboxes: on an order, and when this process is gone.
 *
 * If the small process ends, all sandboxes end with it. The next call starts another one.
 */
export class Launcher implements AsyncDisposable {
  readonly #folder: string
  #child: ChildProcess | undefined
  #lastNumber = 0
  /** Of processes that have not ended, by number. */
  readonly #listeners = new Map<number, Listener>()

  /** @param folder for named pipes; no other user can access it. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Rejects with the standard error output if no process was started. */
  startSandbox({ user, seccomp, options, cgroups, command }: SandboxOrder): Promise<SandboxProcess> {
    const { promise, resolve, reject } = Promise.withResolvers<SandboxProcess>()
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), startMs)
    const ended = Promise.withResolvers<string>()
    let [sandbox, firstPid]: [SandboxProcess | undefined, number | undefined] = [undefined, undefined]
    const end = (complaint: string): void => {
      reject(new Error(complaint)) // no effect if it has started
      sandbox?.down.destroy()
      sandbox?.up.destroy()
      ended.resolve(complaint)
    }
    const kill = (): void => this.#send('kill', number)
    const listener: Listener = (event) => {
      clearTimeout(timer)
      if (event.kind === 'started') {
        try {
          sandbox = { ...this.#open(number), firstPid: () => firstPid, ended: ended.promise, kill }
          resolve(sandbox)
        } catch (error) {
          reject(error)
          kill()
        }
        this.#send('opened', number)
      } else if (event.kind === 'first') firstPid = event.pid
      else if (event.kind === 'ended') end(event.complaint)
      else {
        // The death of its parent kills it, except just after it was cloned.
        const isKilled = firstPid !== undefined && signalProcess(firstPid, 'SIGKILL')
        if (isKilled && sandbox && !sandbox.up.closed) sandbox.up.once('close', () => end(event.reason))
        else end(event.reason)
      }
    }
    const filter = Buffer.from(options.map((option) => `${option}\0`).join(''))
    const number = this.#start('sandbox', listener, [
      user.uid,
      user.gid,
      seccomp,
      filter,
      cgroups.join('\0'),
      ...command,
    ])
    return promise
  }

  /** @see RunTool */
  readonly run: RunTool = (file, args, { timeoutMs } = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#send('kill', number), timeoutMs)
    const listener: Listener = (event) => {
      if (event.kind !== 'ended' && event.kind !== 'lost') return
      clearTimeout(timer)
      if (event.kind === 'lost') reject(new ToolError(file, event.reason, ''))
      else if (event.status === 0) resolve(event.output)
      else reject(new ToolError(file, event.complaint || `it ended with status ${event.status}`, event.output))
    }
    const number = this.#start('tool', listener, [file, ...args])
    return promise
  }

  /** Kills every process that it has started, and waits until they are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.stdin?.end()
    await ended
  }

  #open(number: number): Pick<SandboxProcess, 'down' | 'up'> {
    const open = (name: string, flags: number): number => {
      return openSync(join(this.#folder, `${number}.${name}`), flags | constants.O_NONBLOCK)
    }
    const down = new Socket({ fd: open('down', constants.O_WRONLY), readable: false, writable: true })
    down.on('error', () => {}) // the end of the sandbox is reported, too, and has the reason
    return { down, up: new Socket({ fd: open('up', constants.O_RDONLY), readable: true, writable: false }) }
  }

  #start(kind: 'sandbox' | 'tool', listener: Listener, fields: readonly (string | number | Uint8Array)[]): number {
    const number = (this.#lastNumber += 1)
    this.#listeners.set(number, listener)
    this.#child ??= this.#launch()
    this.#send(kind, number, ...fields)
    return number
  }

  #send(kind: string, number: number, ...fields: readonly (string | number | Uint8Array)[]): void {
    if (this.#listeners.has(number)) this.#child?.stdin?.write(order(kind, number, ...fields))
  }

  #launch(): ChildProcess {
    // Bubblewrap refuses to start with capabilities of root, so it must not inherit any.
    const capabilities = ['--ambient-caps', '-all', '--inh-caps', '-all']
    const python = ['/usr/bin/python3', '-E', '-s', '-S', '-B', program, this.#folder]
    const child = spawn('/usr/bin/setpriv', [...capabilities, '--', ...python], {
      cwd: '/',
      env: { PATH: toolPath },
      detached: true, // the server handles Ctrl-C of a terminal
      stdio: 'pipe',
    })
    const answers = new Answers()
    child.stdin.on('error', () => {})
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-maxComplaint)))
    child.stdout.on('data', (chunk: Buffer) => {
      for (const answer of answers.push(chunk)) this.#handle(answer)
    })
    child.once('error', ({ message }) => this.#lose(child, message))
    child.once('close', () => this.#lose(child, complaint))
    return child
  }

  #handle(answer: Answer): void {
    const listener = this.#listeners.get(answer.number)
    if (answer.kind === 'ended') this.#listeners.delete(answer.number)
    listener?.(answer)
  }

  #lose(child: ChildProcess, complaint: string): void {
    if (this.#child !== child) return
    this.#child = undefined
    const listeners = Array.from(this.#listeners.values())
    this.#listeners.clear()
    const reason = `the launcher has ended${complaint && `: ${complaint.trim()}`}`
    for (const listener of listeners) listener({ kind: 'lost', reason })
  }
}
