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

/** How long to wait for an answer from inside before the sandbox is given up. */
export interface SupervisorTimes {
  startMs: number
  /** Between two questions whether it still answers, while code runs. */
  pingMs: number
  /** For the answer. Longer than what the supervisor gives a kill. */
  answerMs: number
  /** For any of these, if the machine has no time for the supervisor. */
  maxMs: number
}

const defaultTimes: SupervisorTimes = { startMs: 30_000, pingMs: 5_000, answerMs: 15_000, maxMs: 180_000 }

/** An exec under way. */
interface Running {
  sink: OutputSink
  files: ExecFile[]
  startedAt: number
  /** Fires when it is to be killed. */
  signal: AbortSignal
  resolve: (outcome: ExecOutcome) => void
  reject: (error: unknown) => void
}

const maxFiles = 100

const closedFolder =
  'The code did not start: other code in the sandbox keeps closing the folders that code is read from (/run/theazo). ' +
  'End that code, e.g. by a Python exec with `import os; os.kill(-1, 9)`, or terminate the agent.'

/**
 * Speaks with the supervisor inside one running sandbox. What it says is checked: where it says nonsense, says nothing
 * for too long or ends, the sandbox is killed and each exec under way rejects.
 */
export class Supervisor {
  /** Resolves when all of the sandbox is gone. */
  readonly ended: Promise<void>
  readonly #process: SandboxProcess
  readonly #env: Readonly<Record<string, string>>
  readonly #times: SupervisorTimes
  readonly #running = new Map<number, Running>()
  readonly #ready = Promise.withResolvers<void>()
  readonly #frames = new UpFrames()
  #lastId = 0
  /** When it said something last. */
  #heardAt = 0
  #lost: string | undefined
  #pinging: NodeJS.Timeout | undefined
  /** Stops waiting for an answer. */
  #silence: (() => void) | undefined

  /** @param env added to that of all code. */
  constructor(sandbox: SandboxProcess, env: Readonly<Record<string, string>>, times: SupervisorTimes = defaultTimes) {
    this.#process = sandbox
    this.#env = env
    this.#times = times
    this.#ready.promise.catch(() => {})
    this.#expectAnswer(times.startMs)
    sandbox.down.write(defaultsFrame(environmentOf(env)))
    sandbox.up.on('data', (chunk: Buffer) => this.#read(chunk))
    this.ended = sandbox.ended.then((complaint) => this.#end(complaint))
  }

  /** @throws {SandboxStartError} where it does not come up. */
  async ready(): Promise<void> {
    await this.#ready.promise
  }

  /** What is under way has failed, or is about to; nothing begins any more. */
  get isLost(): boolean {
    return this.#lost !== undefined
  }

  get firstPid(): number | undefined {
    return this.#process.firstPid()
  }

  /** See `Sandbox.exec`. @param compiled the same code without types. */
  exec(request: ExecRequest, sink: OutputSink, signal: AbortSignal, compiled?: Compiled): Promise<ExecOutcome> {
    const { lang, cwd = '/workspace', stdin, maxOutputBytes } = request
    const code = lang === 'bash' ? bashScript(request.code) : request.code
    const execId = (this.#lastId = (this.#lastId + 1) >>> 0)
    return new Promise<ExecOutcome>((resolve, reject) => {
      if (this.#lost !== undefined) throw new SandboxLostError(this.#lost)
      signal.throwIfAborted() // nothing would tell of it any more
      let stopWaiting: (() => void) | undefined
      const kill = (): void => {
        this.#process.down.write(killFrame(execId))
        const reason = 'The sandbox broke down: it did not end what it was told to.'
        // What other execs print says nothing of this one.
        const { answerMs: ms, maxMs } = this.#times
        stopWaiting = afterSilence({ ms, maxMs, pid: () => this.firstPid }, () => this.#giveUp(reason))
      }
      const end = <Value>(settle: (value: Value) => void) => {
        return (value: Value): void => {
          this.#running.delete(execId)
          signal.removeEventListener('abort', kill)
          stopWaiting?.()
          if (this.#running.size === 0) this.#stopAsking()
          settle(value)
        }
      }
      const startedAt = performance.now()
      this.#running.set(execId, { sink, files: [], startedAt, signal, resolve: end(resolve), reject: end(reject) })
      signal.addEventListener('abort', kill, { once: true })
      const env = environmentOf({ ...this.#env, ...request.env })
      this.#process.down.write(execFrame(execId, { lang, code, compiled, cwd, env, stdin, maxOutputBytes }))
      this.#pinging ??= setInterval(() => this.#ask(), this.#times.pingMs)
    })
  }

  /** Kills everything; execs under way reject. */
  async kill(reason: string): Promise<void> {
    this.#giveUp(reason)
    await this.ended
  }

  #read(chunk: Buffer): void {
    if (this.#lost !== undefined) return // it may go on for a moment, with what was lost missing
    this.#heardAt = performance.now()
    try {
      for (const frame of this.#frames.push(chunk)) this.#take(frame)
    } catch (error) {
      this.#giveUp(`The sandbox broke down: it sent what makes no sense (${String(error)}).`)
    }
  }

  #take(frame: UpFrame): void {
    if (frame.kind === 'ready' || frame.kind === 'pong') {
      this.#silence?.()
      this.#silence = undefined
      return this.#ready.resolve()
    }
    const exec = this.#running.get(frame.execId)
    if (!exec) return // it has ended already, e.g. what is left of it was killed afterwards
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
        return exec.reject(ApiError.invalid({ cwd: ['is no folder in the sandbox'] }))
      case 'closed':
        return exec.reject(new ApiError('conflict', closedFolder))
      case 'gone':
        if (exec.signal.aborted) return exec.reject(exec.signal.reason)
        return this.#giveUp('The sandbox broke down: it ended what nobody told it to.')
      case 'exit': {
        if (exec.signal.aborted) return // `gone` follows, when nothing of it is left
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

  #ask(): void {
    this.#process.down.write(pingFrame())
    this.#expectAnswer()
  }

  /** An answer is not waited for either: who is frozen by then does not give it. */
  #stopAsking(): void {
    clearInterval(this.#pinging)
    this.#silence?.()
    this.#pinging = this.#silence = undefined
  }

  #expectAnswer(withinMs: number = this.#times.answerMs): void {
    const { maxMs } = this.#times
    const options = { ms: withinMs, maxMs, pid: () => this.firstPid, heardAt: () => this.#heardAt }
    this.#silence ??= afterSilence(options, () => {
      this.#giveUp('The sandbox broke down: its supervisor does not answer.')
    })
  }

  #giveUp(reason: string): void {
    this.#lost ??= reason
    this.#process.kill()
  }

  #end(complaint: string): void {
    this.#stopAsking()
    this.#ready.reject(new SandboxStartError(this.#lost ?? startFailure(complaint)))
    this.#lost ??= `The sandbox broke down while the code ran${complaint && `: ${complaint}`}.`
    for (const exec of this.#running.values()) {
      exec.reject(exec.signal.aborted ? exec.signal.reason : new SandboxLostError(this.#lost))
    }
  }
}
