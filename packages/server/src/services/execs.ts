import { availableParallelism } from 'node:os'
import type { ExecBody, ExecExtensions, ExecResult } from '@theazo/core'
import type { Clock } from '../clock.ts'
import type { Sandbox } from '../compute/compute-provider.ts'
import { ApiError, asApiError, asError } from '../errors.ts'
import type { EventLog } from '../events/event-log.ts'
import { FairQueue } from '../fair-queue.ts'
import type { Principal } from '../keys/api-keys.ts'
import { SessionLimits } from '../limits/session-limits.ts'
import type { Database } from '../store/database.ts'
import { failAgent, filesGone } from './agent-changes.ts'
import { assertCan, assertNotEnded } from './agent-lifecycle.ts'
import { type AgentRecord, findAgent } from './agent-rows.ts'
import { CapturedOutput } from './captured-output.ts'
import { afterDeadline } from './exec-deadline.ts'
import type { AgentActivity } from './agent-activity.ts'
import type { Metering } from './metering.ts'
import { OutputBudget, type OutputHold } from './output-budget.ts'
import type { Sandboxes } from './sandboxes.ts'
import { withOutput } from './output-in-error.ts'

/** Maximum bytes of each stream of an exec (contract, exec). */
const maxOutputBytes = 10 * 1024 * 1024

/** Maximum bytes of output in memory, for all execs together. */
const maxHeldBytes = 512 * 1024 * 1024

/** Maximum time that a starting exec occupies a slot of the queue. */
const startSlotMs = 100

/** Receives the output of code in parts. */
export type OnOutput = (stream: 'stdout' | 'stderr', text: string) => void

/** The caller of an exec. */
export interface ExecCaller {
  /** Fires when the caller is gone: the code is then killed. */
  signal: AbortSignal
  /** Reserves memory for the output; the caller releases it. */
  hold: OutputHold
  /** Called with the output as it arrives. */
  onOutput?: OnOutput | undefined
}

/** The parts of the server that {@link Execs} uses. */
export interface ExecsOptions {
  database: Database
  events: EventLog
  limits: SessionLimits
  metering: Metering
  sandboxes: Sandboxes
  activity: AgentActivity
  clock: Clock
  /** Milliseconds after which an exec is killed and answered with 504. */
  execTimeoutMs: number
}

/** Runs code in sandboxes: for callers, and for the tools of a task. */
export class Execs {
  readonly #options: ExecsOptions
  readonly #output = new OutputBudget(maxHeldBytes)
  readonly #starts = new FairQueue(8 * availableParallelism())

  constructor(options: ExecsOptions) {
    this.#options = options
  }

  /**
   * Runs code and waits for its end.
   *
   * @throws {ApiError} 404; 409 terminated or failed; 402; 409 paused; 504 at the deadline; 502 if the sandbox cannot start.
   */
  async exec(
    principal: Principal,
    id: string,
    body: ExecBody & ExecExtensions,
    { signal, ...caller }: ExecCaller,
  ): Promise<ExecResult> {
    const { database, sandboxes, activity, limits } = this.#options
    await sandboxes.ready(id)
    using activeCall = await activity.begin(id)
    const agent = await findAgent(database, principal, id)
    assertNotEnded(agent)
    await limits.assertWithin(database, agent.session_id)
    assertCan('exec', agent)
    activeCall.accept()
    return await this.run(agent, body, { ...caller, signal: AbortSignal.any([signal, activeCall.signal]) })
  }

  /** Runs code for a tool of a task: the agent was checked when the task began, and a pause waits for the task's step. */
  async run(
    agent: AgentRecord,
    body: ExecBody & ExecExtensions,
    { signal, hold, onOutput }: ExecCaller,
  ): Promise<ExecResult> {
    const { execTimeoutMs, metering, clock } = this.#options
    const { stdin, timeoutMs = execTimeoutMs, ...request } = body
    const sandbox = await this.#sandbox(agent)
    await this.#prepare(sandbox, signal)
    using slot = await this.#enterQueue(agent, signal)
    const startedAt = clock.monotonic()
    const stdout = new CapturedOutput(maxOutputBytes, onOutput && ((text) => onOutput('stdout', text)), hold)
    const stderr = new CapturedOutput(maxOutputBytes, onOutput && ((text) => onOutput('stderr', text)), hold)
    const pushTo = (stream: CapturedOutput) => (chunk: Uint8Array) => {
      slot.leave()
      stream.push(chunk)
    }
    const deadline = new AbortController()
    const limitMs = Math.min(timeoutMs, execTimeoutMs)
    const after = `${limitMs / 1000} s`
    const timeoutError = new ApiError(
      'timeout',
      `The code ran longer than ${after} and was killed. The sandbox is kept.`,
    )
    const stopDeadline = afterDeadline(clock, limitMs, () => deadline.abort(timeoutError))
    try {
      const outcome = await sandbox.exec(
        { ...request, stdin: bytesOf(stdin), maxOutputBytes },
        { stdout: pushTo(stdout), stderr: pushTo(stderr) },
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
      const failure = signal.aborted
        ? asError(signal.reason)
        : asApiError(deadline.signal.aborted ? timeoutError : error)
      const durationMs = Math.round(clock.monotonic() - startedAt)
      throw withOutput(failure, { stdout: stdout.end(), stderr: stderr.end(), durationMs })
    } finally {
      stopDeadline()
      if (agent.mode === 'live') metering.noteFiles(agent.id)
    }
  }

  /** Number of execs that wait for a slot in the queue. */
  get waiting(): number {
    return this.#starts.length
  }

  /** Waits for a slot in the queue of starts. The slot is free again at the first output, at the end, or after 100 ms. */
  async #enterQueue({ project, mode }: AgentRecord, signal: AbortSignal): Promise<Disposable & { leave: () => void }> {
    if (mode === 'test') return { leave() {}, [Symbol.dispose]() {} }
    const leave = await this.#starts.enter(project, signal)
    const timer = setTimeout(leave, startSlotMs)
    return {
      leave,
      [Symbol.dispose]() {
        clearTimeout(timer)
        leave()
      },
    }
  }

  /** Starts the sandbox before the exec's time begins. */
  async #prepare(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
    try {
      await sandbox.prepare(signal)
    } catch (error) {
      throw signal.aborted ? asError(signal.reason) : asApiError(error)
    }
  }

  /** Reserves memory for the output of one exec, until its answer is read. */
  holdOutput({ project }: Pick<Principal, 'project'>): OutputHold {
    return this.#output.hold(project)
  }

  async #sandbox(agent: AgentRecord): Promise<Sandbox> {
    const sandbox = await this.#options.sandboxes.attach(agent)
    if (sandbox) return sandbox
    await this.#options.events.write((unit) => failAgent(unit, agent.id))
    throw new ApiError('conflict', `Agent ${agent.id} has failed: ${filesGone} Create another agent.`)
  }
}

function bytesOf(stdin: ExecExtensions['stdin']): Uint8Array | undefined {
  if (stdin === undefined) return undefined
  return typeof stdin === 'string' ? Buffer.from(stdin) : Buffer.from(stdin.base64, 'base64')
}
