import { availableParallelism } from 'node:os'
import type { ExecBody, ExecExtensions, ExecResult } from '@theazo/core'
import type { Clock } from '../clock.ts'
import type { Sandbox } from '../compute/compute-provider.ts'
import { ApiError, asApiError, ClientGoneError } from '../errors.ts'
import type { EventLog } from '../events/event-log.ts'
import { FairQueue } from '../fair-queue.ts'
import type { Principal } from '../keys/api-keys.ts'
import { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import { failAgent, filesGone } from './agent-changes.ts'
import { assertCan, assertLives } from './agent-lifecycle.ts'
import { type AgentRecord, findAgent } from './agent-rows.ts'
import { CapturedOutput } from './captured-output.ts'
import { afterDeadline } from './exec-deadline.ts'
import type { Executions } from './executions.ts'
import type { Metering } from './metering.ts'
import { OutputBudget, type OutputHold } from './output-budget.ts'
import type { Sandboxes } from './sandboxes.ts'
import { withOutput } from './ended-exec.ts'

/** Bytes of each stream of an exec that are kept (contract, exec). */
const maxOutputBytes = 10 * 1024 * 1024

/** Bytes of output that are held for all execs at a time. */
const maxHeldBytes = 512 * 1024 * 1024

/** How long an exec takes part in the turns of those that begin. */
const beginningMs = 100

/** Takes what code prints, piece by piece. */
export type OnOutput = (stream: 'stdout' | 'stderr', text: string) => void

/** Who waits for an exec. */
export interface ExecCaller {
  /** Fires when the caller is gone: the code is then killed. */
  signal: AbortSignal
  /** Room for its output, which the caller gives back. */
  hold: OutputHold
  /** Called with what the code prints as it comes. */
  onOutput?: OnOutput | undefined
}

/** What execs need of the server. */
export interface ExecsOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  metering: Metering
  sandboxes: Sandboxes
  executions: Executions
  clock: Clock
  /** Milliseconds after which an exec is killed and answered 504. */
  execTimeoutMs: number
}

/** Runs code in sandboxes: for callers, and for the tools of a task. */
export class Execs {
  readonly #options: ExecsOptions
  readonly #output = new OutputBudget(maxHeldBytes)
  readonly #beginnings = new FairQueue(8 * availableParallelism())

  constructor(options: ExecsOptions) {
    this.#options = options
  }

  /**
   * Runs code and waits for its end.
   *
   * @throws {ApiError} 404, 409 terminated or failed, 402, 409 paused, 504 at the deadline, 502 where the sandbox cannot start.
   */
  async exec(
    principal: Principal,
    id: string,
    body: ExecBody & ExecExtensions,
    { signal, ...caller }: ExecCaller,
  ): Promise<ExecResult> {
    const { database, sandboxes, executions, limits } = this.#options
    await sandboxes.ready(id)
    using execution = await executions.begin(id)
    const agent = await findAgent(database, principal, id)
    assertLives(agent)
    await limits.assertWithin(database, agent.session_id)
    assertCan('exec', agent)
    execution.accept()
    return await this.run(agent, body, { ...caller, signal: AbortSignal.any([signal, execution.signal]) })
  }

  /** The same for a tool of a task, whose agent was looked at when the task began; no pause waits for it by this. */
  async run(
    agent: AgentRecord,
    body: ExecBody & ExecExtensions,
    { signal, hold, onOutput }: ExecCaller,
  ): Promise<ExecResult> {
    const { execTimeoutMs, metering, clock } = this.#options
    const { stdin, timeoutMs = execTimeoutMs, ...request } = body
    const sandbox = await this.#sandbox(agent)
    await this.#prepare(sandbox, signal)
    using turn = await this.#turn(agent, signal)
    const startedAt = clock.monotonic()
    const stdout = new CapturedOutput(maxOutputBytes, onOutput && ((text) => onOutput('stdout', text)), hold)
    const stderr = new CapturedOutput(maxOutputBytes, onOutput && ((text) => onOutput('stderr', text)), hold)
    const take = (stream: CapturedOutput) => (chunk: Uint8Array) => {
      turn.leave()
      stream.push(chunk)
    }
    const deadline = new AbortController()
    const limitMs = Math.min(timeoutMs, execTimeoutMs)
    const after = `${limitMs / 1000} s`
    const late = new ApiError('timeout', `The code ran longer than ${after} and was killed. The sandbox is kept.`)
    const stopDeadline = afterDeadline(clock, limitMs, () => deadline.abort(late))
    try {
      const outcome = await sandbox.exec(
        { ...request, stdin: bytesOf(stdin), maxOutputBytes },
        { stdout: take(stdout), stderr: take(stderr) },
        AbortSignal.any([signal, deadline.signal]),
      )
      const { exitCode, durationMs, files, filesTruncated } = outcome
      return {
        stdout: stdout.end(),
        stderr: stderr.end(),
        exitCode,
        durationMs,
        ...((stdout.isTruncated || outcome.stdoutTruncated) && { stdoutTruncated: true }),
        ...((stderr.isTruncated || outcome.stderrTruncated) && { stderrTruncated: true }),
        ...(files && files.length > 0 && { files }),
        ...(filesTruncated && { filesTruncated: true }),
      }
    } catch (error) {
      const failure = signal.aborted ? asError(signal.reason) : asApiError(deadline.signal.aborted ? late : error)
      const durationMs = Math.round(clock.monotonic() - startedAt)
      throw withOutput(failure, { stdout: stdout.end(), stderr: stderr.end(), durationMs })
    } finally {
      stopDeadline()
      if (agent.mode === 'live') metering.noteFiles(agent.id)
    }
  }

  /** Execs that wait for the machine. */
  get waiting(): number {
    return this.#beginnings.length
  }

  /** A turn to begin, until the code prints or ends, or some time has passed: then it is the kernel that shares the CPUs. */
  async #turn({ project, mode }: AgentRecord, signal: AbortSignal): Promise<Disposable & { leave: () => void }> {
    if (mode === 'test') return { leave() {}, [Symbol.dispose]() {} }
    let leave: () => void
    try {
      leave = await this.#beginnings.enter(project, signal)
    } catch (error) {
      throw asError(error)
    }
    const timer = setTimeout(leave, beginningMs)
    return {
      leave,
      [Symbol.dispose]() {
        clearTimeout(timer)
        leave()
      },
    }
  }

  /** The time that a sandbox takes to start is not the code's. */
  async #prepare(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
    try {
      await sandbox.prepare(signal)
    } catch (error) {
      throw signal.aborted ? asError(signal.reason) : asApiError(error)
    }
  }

  /** Room for the output of one exec, until its answer is read. */
  holdOutput({ project }: Pick<Principal, 'project'>): OutputHold {
    return this.#output.hold(project)
  }

  async #sandbox(agent: AgentRecord): Promise<Sandbox> {
    const sandbox = await this.#options.sandboxes.attach(agent)
    if (sandbox) return sandbox
    await this.#options.events.write((unit) => failAgent(unit, agent.id))
    throw new ApiError('conflict', `Agent ${agent.id} has failed: ${filesGone} Create another one.`)
  }
}

function bytesOf(stdin: ExecExtensions['stdin']): Uint8Array | undefined {
  if (stdin === undefined) return undefined
  return typeof stdin === 'string' ? Buffer.from(stdin) : Buffer.from(stdin.base64, 'base64')
}

/** The reason of a closed connection is a text; what is thrown must be an error to be handled as one. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new ClientGoneError(String(reason))
}
