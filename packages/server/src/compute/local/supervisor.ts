import type { ExecFile } from '@theazo/core'
import { ApiError, SandboxLostError, SandboxStartError } from '../../errors.ts'
import type { ExecOutcome, ExecRequest, OutputSink } from '../compute-provider.ts'
import { bashScript } from './bash-script.ts'
import { environmentOf } from './environment.ts'
import { defaultsFrame, execFrame, killFrame, pingFrame, type UpFrame, UpFrames } from './frames.ts'
import type { SandboxProcess } from './launcher.ts'
import { afterSilence } from './silence.ts'
import { startFailure } from './start-sandbox.ts'
import type { Compiled } from './typescript/typescript-compiler.ts'

/** How long to wait for an answer from the sandbox before it is killed. All in milliseconds. */
export interface SupervisorTimes {
  startMs: number
  /** Between two pings while code runs. */
  pingMs: number
  /** For the answer to a ping or a kill. Longer than the supervisor takes to kill an exec. */
  answerMs: number
  /** Limit of each wait that is extended because the machine gives the supervisor no CPU time. */
  maxMs: number
}

const defaultTimes: SupervisorTimes = { startMs: 30_000, pingMs: 5_000, answerMs: 15_000, maxMs: 180_000 }

/** A running exec. */
interface Running {
  sink: OutputSink
  files: ExecFile[]
  startedAt: number
  /** Fires when the exec is to be killed. */
  signal: AbortSignal
  resolve: (outcome: ExecOutcome) => void
  reject: (error: unknown) => void
}

const maxFiles = 100

const closedFolder =
  'The code did not start: other code in the sandbox keeps closing the folders that code is read from (/run/theazo). ' +
  'End that code, e.g. by a Python exec with `import os; os.kill(-1, 9)`, or terminate the agent.'

/**
 * The connection to the supervisor inside one running sandbox. Its frames are checked. If the supervisor sends an invalid
 * frame, is silent for too long or ends, the sandbox is killed and each running exec rejects.
 */
export class Supervisor {
  /** Resolves when all processes of the sandbox are gone. */
  readonly ended: Promise<void>
  readonly #process: SandboxProcess
  readonly #env: Readonly<Record<string, string>>
  readonly #times: SupervisorTimes
  readonly #running = new Map<number, Running>()
  readonly #ready = Promise.withResolvers<void>()
  readonly #frames = new UpFrames()
  #lastId = 0
  /** When it last sent something. */
  #heardAt = 0
  #lost: string | undefined
  #pingTimer: NodeJS.Timeout | undefined
  /** Stops the wait for an answer. */
  #stopWaiting: (() => void) | undefined

  /** @param env added to the environment of all code. */
  constructor(sandbox: SandboxProcess, env: Readonly<Record<string, string>>, times: SupervisorTimes = defaultTimes) {
    this.#process = sandbox
    this.#env = env
    this.#times = times
    this.#ready.promise.catch(() => {})
    this.#expectAnswer(times.startMs)
    sandbox.down.write(defaultsFrame(environmentOf(env)))
    sandbox.up.on('data', (chunk: Buffer) => this.#read(chunk))
    this.ended = sandbox.ended.then((errorOutput) => this.#end(errorOutput))
  }

  /** Resolves when the supervisor accepts execs. @throws {SandboxStartError} if it does not start. */
  async ready(): Promise<void> {
    await this.#ready.promise
  }

  /** True if the connection is lost: running execs fail, and no new exec is accepted. */
  get isLost(): boolean {
    return this.#lost !== undefined
  }

  get firstPid(): number | undefined {
    return this.#process.firstPid()
  }

  /** See `Sandbox.exec`. @param compiled the same code without its types. */
  exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal, compiled?: Compiled): Promise<ExecOutcome> {
    const { lang, cwd = '/workspace', stdin, maxOutputBytes } = request
    const code = lang === 'bash' ? bashScript(request.code) : request.code
    const execId = (this.#lastId = (this.#lastId + 1) >>> 0)
    return new Promise<ExecOutcome>((resolve, reject) => {
      if (this.#lost !== undefined) throw new SandboxLostError(this.#lost)
      signal.throwIfAborted() // the listener below would not fire
      let stopWaiting: (() => void) | undefined
      const kill = (): void => {
        this.#process.down.write(killFrame(execId))
        const reason = 'The sandbox broke down: it did not end the code on request.'
        // Frames of other execs do not count as an answer.
        const { answerMs: ms, maxMs } = this.#times
        stopWaiting = afterSilence({ ms, maxMs, pid: () => this.firstPid }, () => this.#giveUp(reason))
      }
      const end = <Value>(resolveOrReject: (value: Value) => void) => {
        return (value: Value): void => {
          this.#running.delete(execId)
          signal.removeEventListener('abort', kill)
          stopWaiting?.()
          if (this.#running.size === 0) this.#stopPinging()
          resolveOrReject(value)
        }
      }
      const startedAt = performance.now()
      this.#running.set(execId, { sink, files: [], startedAt, signal, resolve: end(resolve), reject: end(reject) })
      signal.addEventListener('abort', kill, { once: true })
      const env = environmentOf({ ...this.#env, ...request.env })
      this.#process.down.write(execFrame(execId, { lang, code, compiled, cwd, env, stdin, maxOutputBytes }))
      this.#pingTimer ??= setInterval(() => this.#ping(), this.#times.pingMs)
    })
  }

  /** Kills everything; running execs reject. */
  async kill(reason: string): Promise<void> {
    this.#giveUp(reason)
    await this.ended
  }

  #read(chunk: Buffer): void {
    if (this.#lost !== undefined) return // bytes may be missing; it sends more until it is killed
    this.#heardAt = performance.now()
    try {
      for (const frame of this.#frames.push(chunk)) this.#handle(frame)
    } catch (error) {
      this.#giveUp(`The sandbox broke down: it sent invalid data (${String(error)}).`)
    }
  }

  #handle(frame: UpFrame): void {
    if (frame.kind === 'ready' || frame.kind === 'pong') {
      this.#stopWaiting?.()
      this.#stopWaiting = undefined
      return this.#ready.resolve()
    }
    const exec = this.#running.get(frame.execId)
    if (!exec) return // the exec has ended already
    switch (frame.kind) {
      case 'output':
        return exec.sink[frame.stream](frame.data)
      case 'file':
        if (exec.files.length < maxFiles) exec.files.push(frame.file)
        return
      case 'refused':
        return exec.reject(new SandboxStartError(frame.message))
      case 'lost':
        return exec.reject(new SandboxLostError('The sandbox could not follow the code to its end.'))
      case 'noFolder':
        return exec.reject(ApiError.invalid({ cwd: ['is not a folder in the sandbox'] }))
      case 'closed':
        return exec.reject(new ApiError('conflict', closedFolder))
      case 'gone':
        if (exec.signal.aborted) return exec.reject(exec.signal.reason)
        return this.#giveUp('The sandbox broke down: it ended code without an order.')
      case 'exit': {
        if (exec.signal.aborted) return // `gone` follows when all its processes are gone
        const { exitCode, isCut } = frame
        const durationMs = Math.round(performance.now() - exec.startedAt)
        return exec.resolve({
          exitCode,
          durationMs,
          files: exec.files,
          stdoutTruncated: isCut.stdout,
          stderrTruncated: isCut.stderr,
          filesTruncated: isCut.files,
        })
      }
    }
  }

  #ping(): void {
    this.#process.down.write(pingFrame())
    this.#expectAnswer()
  }

  /** Also stops the wait for an answer: a sandbox that is frozen by then does not answer. */
  #stopPinging(): void {
    clearInterval(this.#pingTimer)
    this.#stopWaiting?.()
    this.#pingTimer = this.#stopWaiting = undefined
  }

  #expectAnswer(withinMs: number = this.#times.answerMs): void {
    const { maxMs } = this.#times
    const options = { ms: withinMs, maxMs, pid: () => this.firstPid, heardAt: () => this.#heardAt }
    this.#stopWaiting ??= afterSilence(options, () => {
      this.#giveUp('The sandbox broke down: its supervisor does not answer.')
    })
  }

  #giveUp(reason: string): void {
    this.#lost ??= reason
    this.#process.kill()
  }

  #end(errorOutput: string): void {
    this.#stopPinging()
    this.#ready.reject(new SandboxStartError(this.#lost ?? startFailure(errorOutput)))
    this.#lost ??= `The sandbox broke down while the code ran${errorOutput && `: ${errorOutput}`}.`
    for (const exec of this.#running.values()) {
      exec.reject(exec.signal.aborted ? exec.signal.reason : new SandboxLostError(this.#lost))
    }
  }
}
