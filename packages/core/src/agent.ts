import type { AgentEvent } from './streams/agent-events.ts'
import { batchIterator } from './streams/batch-iterator.ts'
import { configurationError } from './errors.ts'
import type { EventStream } from './streams/event-stream.ts'
import type { EventStreamOptions } from './streams/event-stream-options.ts'
import { exec } from './exec/exec.ts'
import type { ExecChunk, ExecOptions, ExecStreamOptions } from './exec/exec-options.ts'
import { SandboxFiles } from './files/files.ts'
import { Run } from './runs/run.ts'
import type { AttachOptions, RunOptions } from './runs/run-source.ts'
import { AgentTasks } from './runs/tasks.ts'
import type { Transport, TransportRequest } from './transport/transport.ts'
import { setTransport } from './transport/transport-of.ts'
import type { CallOptions } from './transport/transport-options.ts'
import type { ExecResult, Language, OkBody, Agent as WireAgent } from './wire.ts'

/**
 * One sandbox: runs code, keeps files in `/workspace`, lives until terminated.
 *
 * @example
 * ```ts
 * await using agent = await session.agents.create()
 * const { stdout } = await agent.exec('python', 'print(2 + 2)') // '4\n'
 * ```
 */
export class Agent implements AsyncDisposable {
  readonly id: string
  /** The sandbox's files. */
  readonly files: SandboxFiles
  /** The tasks of the agent's own model loop. */
  readonly tasks: AgentTasks
  readonly #transport: Transport
  /** True where the call that gave this handle made the agent: false for one found by its id or its name. */
  readonly isNew: boolean
  #data: WireAgent | undefined
  #isTerminated = false

  constructor(transport: Transport, id: string, data?: WireAgent, isNew = false) {
    this.#transport = transport
    setTransport(this, transport)
    this.id = id
    this.#data = data
    this.isNew = isNew
    // A server that tells its extensions is of our kind, and hands code to its interpreter in a file.
    this.files = new SandboxFiles(this, {
      hasLargeCode: () => transport.features.areTold,
      hasStdin: () => transport.features.has('exec-stdin'),
    })
    this.tasks = new AgentTasks(transport, id)
  }

  /**
   * The agent as the server last described it.
   *
   * @throws {ConfigurationError} where it never has: a handle made from a bare id, before `refresh`.
   */
  get data(): WireAgent {
    if (this.#data) return this.#data
    throw configurationError(`Nothing is known of ${this.id} yet: call refresh().`)
  }

  /** Asks the server anew. @throws {NotFoundError} where the key sees no such agent. */
  async refresh(options: CallOptions = {}): Promise<this> {
    return await this.#update({ method: 'GET', path: ['agents', this.id], ...options })
  }

  /**
   * Runs code in the sandbox and waits for its end. A non-zero exit is a result.
   *
   * @throws {TheazoError} `ServerTimeoutError` after the server's 120 s, `ConflictError` on a terminated agent,
   *   `ProviderError` where the sandbox could not start, `NotSupportedError` for an option the server lacks. An abort
   *   closes the request, which kills the code.
   */
  exec(lang: Language, code: string, options: ExecOptions = {}): Promise<ExecResult> {
    return exec(this.#transport, this.id, lang, code, options)
  }

  /**
   * Runs code and tells its output as it comes, then the result; on a server that does not stream, all at the end.
   * Leaving the loop closes the request, which kills the code.
   *
   * @example
   * ```ts
   * for await (const chunk of agent.execStream('bash', 'make')) {
   *   if (chunk.type === 'exit') console.log(chunk.result.exitCode)
   *   else process.stdout.write(chunk.text)
   * }
   * ```
   */
  async *execStream(
    lang: Language,
    code: string,
    { signal, ...options }: ExecStreamOptions = {},
  ): AsyncGenerator<ExecChunk, void, undefined> {
    const { execChunks } = await import('./exec/exec-stream.ts')
    yield* execChunks((callbacks) => this.exec(lang, code, { ...options, ...callbacks }), signal)
  }

  /** Gives the agent's own model loop a task; opens the event stream first, so that no event is missed. */
  run(task: string, options: RunOptions = {}): Run {
    return new Run({ transport: this.#transport, agentId: this.id, task, options })
  }

  /** Follows a run that was started elsewhere; with `lastEventId` from where another follower stopped. */
  attach(taskId: string, options: AttachOptions = {}): Run {
    return new Run({ transport: this.#transport, agentId: this.id, taskId, options })
  }

  /** Every event of the agent, whatever its task, until the agent ends. Leaving the loop closes the connection. */
  stream(options: EventStreamOptions = {}): AsyncIterableIterator<AgentEvent, void, undefined> {
    let isLeft = false
    let stream: EventStream | undefined
    const next = async (): Promise<AgentEvent[] | undefined> => {
      if (!stream) {
        const { EventStream } = await import('./streams/event-stream.ts')
        if (isLeft) return undefined
        stream = new EventStream(this.#transport, this.id, options)
        await stream.open()
      }
      return await stream.next()
    }
    const close = (): void => {
      isLeft = true
      stream?.close()
    }
    return batchIterator(next, close)
  }

  /** Suspends the agent once its current tool call has ended; files are kept, compute stops. */
  async pause(options: CallOptions = {}): Promise<this> {
    return await this.#update({ ...this.#post('pause'), ...options, timeoutMs: options.timeoutMs ?? pauseTimeoutMs })
  }

  /** Goes on where the agent was paused. @throws {ConflictError} where it is not. */
  async resume(options: CallOptions = {}): Promise<this> {
    return await this.#update({ ...this.#post('resume'), ...options })
  }

  /** Ends the agent for good: compute and files are gone. Again is fine. */
  async terminate(options: CallOptions = {}): Promise<void> {
    await this.#transport.request<OkBody>({ ...this.#post('terminate'), isRepeatable: true, ...options })
    this.#isTerminated = true
  }

  /** `await using` terminates the agent, unless {@link terminate} has. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isTerminated) await this.terminate()
  }

  #post(verb: string): TransportRequest {
    return { method: 'POST', path: ['agents', this.id, verb] }
  }

  async #update(request: TransportRequest): Promise<this> {
    this.#data = await this.#transport.request<WireAgent>(request)
    return this
  }
}

/** The server waits up to 120 s for what is in flight; the margin lets its own answer arrive first. */
const pauseTimeoutMs = 130_000
