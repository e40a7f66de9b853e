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

/** What a sandbox is started from. */
export interface SandboxOrder {
  user: HostUser
  /** The system call filter. */
  seccomp: Uint8Array
  /** Bubblewrap's options, which it reads by descriptor. */
  options: readonly string[]
  /** Folders of control groups that it is taken into before anything in it runs. */
  cgroups: readonly string[]
  /** Bubblewrap, and what it is told on its command line. */
  command: readonly string[]
}

/** A sandbox that runs. */
export interface SandboxProcess {
  /** To the sandbox's pid 1, and from it. */
  down: Writable
  up: Readable
  /** The host's pid of the sandbox's pid 1; undefined while it is not known, or where it never came. */
  firstPid: () => number | undefined
  /** Resolves when all of it is gone, with what was said on standard error. */
  ended: Promise<string>
  /** Kills all of it. */
  kill: () => void
}

/** Of something that was started, what becomes of it. */
type Fate = Answer | { kind: 'lost'; reason: string }
type Take = (fate: Fate) => void

const program = fileURLToPath(new URL('launcher/launcher.py', import.meta.url))
const maxComplaint = 4096
/** It takes a few milliseconds; who takes so long has stopped. */
const startMs = 30_000

/**
 * Starts processes on the machine without a fork of this one, which would stall it: a small process beside it does
 * (`launcher/launcher.py`). It also ends sandboxes: when told to, and when this process is gone.
 *
 * Should it be gone itself, so are all sandboxes; what comes next is started by another one.
 */
export class Launcher implements AsyncDisposable {
  readonly #folder: string
  #child: ChildProcess | undefined
  #lastNumber = 0
  /** By number, what has been started and not ended. */
  readonly #takers = new Map<number, Take>()

  /** @param folder for the names of pipes; nobody else can name a file in it. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Rejects with what was said on standard error where not even a process could be had. */
  startSandbox({ user, seccomp, options, cgroups, command }: SandboxOrder): Promise<SandboxProcess> {
    const { promise, resolve, reject } = Promise.withResolvers<SandboxProcess>()
    const hung = setTimeout(() => this.#child?.kill('SIGKILL'), startMs)
    const ended = Promise.withResolvers<string>()
    let [sandbox, firstPid]: [SandboxProcess | undefined, number | undefined] = [undefined, undefined]
    const end = (complaint: string): void => {
      reject(new Error(complaint)) // unless it has started
      sandbox?.down.destroy()
      sandbox?.up.destroy()
      ended.resolve(complaint)
    }
    const kill = (): void => this.#say('kill', number)
    const take: Take = (fate) => {
      clearTimeout(hung)
      if (fate.kind === 'started') {
        try {
          sandbox = { ...this.#open(number), firstPid: () => firstPid, ended: ended.promise, kill }
          resolve(sandbox)
        } catch (error) {
          reject(error)
          kill()
        }
        this.#say('opened', number)
      } else if (fate.kind === 'first') firstPid = fate.pid
      else if (fate.kind === 'ended') end(fate.complaint)
      else {
        // Its parent's death kills it, but in the first instants of its life.
        const isKilled = firstPid !== undefined && signalProcess(firstPid, 'SIGKILL')
        if (isKilled && sandbox && !sandbox.up.closed) sandbox.up.once('close', () => end(fate.reason))
        else end(fate.reason)
      }
    }
    const filter = Buffer.from(options.map((option) => `${option}\0`).join(''))
    const number = this.#start('sandbox', take, [user.uid, user.gid, seccomp, filter, cgroups.join('\0'), ...command])
    return promise
  }

  /** @see RunTool */
  readonly run: RunTool = (file, args, { timeoutMs } = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#say('kill', number), timeoutMs)
    const take: Take = (fate) => {
      if (fate.kind !== 'ended' && fate.kind !== 'lost') return
      clearTimeout(timer)
      if (fate.kind === 'lost') reject(new ToolError(file, fate.reason, ''))
      else if (fate.status === 0) resolve(fate.output)
      else reject(new ToolError(file, fate.complaint || `it ended with ${fate.status}`, fate.output))
    }
    const number = this.#start('tool', take, [file, ...args])
    return promise
  }

  /** Ends what is left, and waits until it is gone. */
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
    down.on('error', () => {}) // that the sandbox has ended tells more
    return { down, up: new Socket({ fd: open('up', constants.O_RDONLY), readable: true, writable: false }) }
  }

  #start(kind: 'sandbox' | 'tool', take: Take, fields: readonly (string | number | Uint8Array)[]): number {
    const number = (this.#lastNumber += 1)
    this.#takers.set(number, take)
    this.#child ??= this.#launch()
    this.#say(kind, number, ...fields)
    return number
  }

  #say(kind: string, number: number, ...fields: readonly (string | number | Uint8Array)[]): void {
    if (this.#takers.has(number)) this.#child?.stdin?.write(order(kind, number, ...fields))
  }

  #launch(): ChildProcess {
    // Root's own capabilities must not reach a sandbox's bubblewrap, which refuses to start with any.
    const capabilities = ['--ambient-caps', '-all', '--inh-caps', '-all']
    const python = ['/usr/bin/python3', '-E', '-s', '-S', '-B', program, this.#folder]
    const child = spawn('/usr/bin/setpriv', [...capabilities, '--', ...python], {
      cwd: '/',
      env: { PATH: toolPath },
      detached: true, // a terminal's Ctrl-C is the server's to answer
      stdio: 'pipe',
    })
    const answers = new Answers()
    child.stdin.on('error', () => {})
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-maxComplaint)))
    child.stdout.on('data', (chunk: Buffer) => {
      for (const answer of answers.push(chunk)) this.#take(answer)
    })
    child.once('error', ({ message }) => this.#lose(child, message))
    child.once('close', () => this.#lose(child, complaint))
    return child
  }

  #take(answer: Answer): void {
    const take = this.#takers.get(answer.number)
    if (answer.kind === 'ended') this.#takers.delete(answer.number)
    take?.(answer)
  }

  #lose(child: ChildProcess, complaint: string): void {
    if (this.#child !== child) return
    this.#child = undefined
    const takers = Array.from(this.#takers.values())
    this.#takers.clear()
    const reason = `what starts it has ended${complaint && `: ${complaint.trim()}`}`
    for (const take of takers) take({ kind: 'lost', reason })
  }
}
