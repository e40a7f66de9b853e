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
import type { ExecResult, Feature, Language, OkBody, ResumeExtensions, Agent as WireAgent } from './wire.ts'

/** Options of {@link Agent.resume}. */
export interface ResumeOptions extends CallOptions, ResumeExtensions {}

/**
 * One sandbox. It runs code, stores files in `/workspace`, and lives until it is terminated.
 *
 * @example
 * ```ts
 * await using agent = await session.agents.create()
 * const { stdout } = await agent.exec('python', 'print(2 + 2)') // '4\n'
 * ```
 */
export class Agent implements AsyncDisposable {
  readonly id: string
  /** The files of the sandbox. */
  readonly files: SandboxFiles
  /** The tasks of the agent's own model loop. */
  readonly tasks: AgentTasks
  readonly #transport: Transport
  /** True if the call that returned this handle created the agent; false if it found the agent by id or name. */
  readonly isNew: boolean
  #data: WireAgent | undefined
  #isTerminated = false

  constructor(transport: Transport, id: string, data?: WireAgent, isNew = false) {
    this.#transport = transport
    setTransport(this, transport)
    this.id = id
    this.#data = data
    this.isNew = isNew
    // A server that lists extensions is our own implementation, which passes code to the interpreter in a file.
    this.files = new SandboxFiles(this, {
      hasLargeCode: () => transport.features.areAdvertised,
      hasStdin: () => transport.features.has('exec-stdin'),
    })
    this.tasks = new AgentTasks(transport, id)
  }

  /**
   * The agent as the server last described it.
   *
   * @throws {ConfigurationError} if this handle was made from an id alone and `refresh` was not called.
   */
  get data(): WireAgent {
    if (this.#data) return this.#data
    throw configurationError(`Agent ${this.id} has no data yet: call refresh() first.`)
  }

  /**
   * Reads the agent from the server again.
   *
   * @throws {NotFoundError} if the key can see no such agent.
   * @example
   * ```ts
   * const { status } = (await agent.refresh()).data
   * ```
   */
  async refresh(options: CallOptions = {}): Promise<this> {
    return await this.#update({ method: 'GET', path: ['agents', this.id], ...options })
  }

  /**
   * Runs code in the sandbox and waits until it ends. A non-zero exit code is a result, not an error. An abort closes
   * the request, which kills the code.
   *
   * @throws {TheazoError} `ServerTimeoutError` after the server's 120 s; `ConflictError` on a terminated agent;
   *   `ProviderError` if the sandbox could not start; `NotSupportedError` for an option that the server does not support.
   * @example
   * ```ts
   * const { stdout, stderr, exitCode } = await agent.exec('python', 'print(2 + 2)', { timeoutMs: 10_000 })
   * if (exitCode !== 0) console.error(stderr)
   * ```
   */
  exec(lang: Language, code: string, options: ExecOptions = {}): Promise<ExecResult> {
    return exec(this.#transport, this.id, lang, code, options)
  }

  /**
   * Runs code and yields chunks of its output as they arrive, then the result. If the server does not stream, all chunks
   * arrive at the end. Leaving the loop closes the request, which kills the code.
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

  /**
   * Starts a task in the agent's own model loop. The event stream is opened first, so that no event is missed.
   *
   * @example
   * ```ts
   * const run = agent.run('Summarise report.csv', { timeoutMs: 300_000 })
   * const { output, cost } = await run.result()
   * ```
   */
  run(task: string, options: RunOptions = {}): Run {
    return new Run({ transport: this.#transport, agentId: this.id, task, options })
  }

  /**
   * Follows a run that another process started. `lastEventId` continues after the last event that process read.
   *
   * @example
   * ```ts
   * const { TASK_ID = '', LAST_EVENT_ID } = process.env // stored by the process that started the run
   * const { output } = await agent.attach(TASK_ID, { lastEventId: LAST_EVENT_ID }).result()
   * ```
   */
  attach(taskId: string, options: AttachOptions = {}): Run {
    return new Run({ transport: this.#transport, agentId: this.id, taskId, options })
  }

  /**
   * The events of all tasks of the agent, until the agent ends. Leaving the loop closes the connection.
   *
   * @example
   * ```ts
   * for await (const event of agent.stream()) {
   *   if (event.type === 'status') console.log(event.taskId, event.status)
   * }
   * ```
   */
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

  /**
   * Pauses the agent after its current tool call ends. Its files are retained and its compute stops.
   *
   * @example
   * ```ts
   * await agent.pause()
   * ```
   */
  async pause(options: CallOptions = {}): Promise<this> {
    return await this.#update({ ...this.#post('pause'), ...options, timeoutMs: options.timeoutMs ?? pauseTimeoutMs })
  }

  /**
   * Continues a paused agent. If a tool call waits for an approval, `approve` answers it.
   *
   * @throws {ConflictError} if the agent is not paused, or a call waits for an approval and `approve` is absent.
   * @example
   * ```ts
   * await agent.resume()
   * ```
   */
  async resume({ approve, callId, message, ...options }: ResumeOptions = {}): Promise<this> {
    const needs: [Feature, string][] = approve === undefined ? [] : [['approvals', 'agent.resume with approve']]
    const body = approve === undefined ? {} : { body: { approve, callId, message }, needs }
    return await this.#update({ ...this.#post('resume'), ...body, ...options })
  }

  /**
   * Terminates the agent and deletes its files. Repeated calls succeed.
   *
   * @example
   * ```ts
   * await agent.terminate()
   * ```
   */
  async terminate(options: CallOptions = {}): Promise<void> {
    await this.#transport.request<OkBody>({ ...this.#post('terminate'), isRepeatable: true, ...options })
    this.#isTerminated = true
  }

  /** `await using` terminates the agent, unless {@link terminate} already did. */
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

/** The server waits up to 120 s for running calls. The margin lets its response arrive before the client gives up. */
const pauseTimeoutMs = 130_000
