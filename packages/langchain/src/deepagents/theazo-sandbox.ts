import { AsyncLocalStorageProviderSingleton } from '@langchain/core/singletons'
import {
  type Agent,
  type CreateAgentOptions,
  ServerTimeoutError,
  type Session,
  type Theazo,
  TheazoError,
  TimeoutError,
} from '@theazo/core'
import { createIdleAgent } from '@theazo/core/pool'
import { modelText } from '@theazo/core/tools'
import {
  BaseSandbox,
  type ExecuteResponse,
  type FileDownloadResponse,
  type FileUploadResponse,
  SandboxError,
} from 'deepagents'
import { downloadAll, uploadAll } from './file-transfer.ts'

/** Options of every {@link TheazoSandbox}. */
export interface TheazoSandboxOptions {
  /** Milliseconds that one command may run. Default 120,000, the server's limit. A longer command ends with exit code 124. */
  timeoutMs?: number | undefined
}

/** Options of a {@link TheazoSandbox} that creates its agent. */
export interface CreateTheazoSandboxOptions extends TheazoSandboxOptions {
  /** The agent is created in this session: the caps of the session apply, and the use is counted for it. */
  session: Session
  /** Passed to `session.agents.create`. Default: the server terminates the agent after 30 minutes without use. */
  agent?: CreateAgentOptions | undefined
  /** Written before the first command, by path. */
  initialFiles?: Readonly<Record<string, string | Uint8Array>> | undefined
}

/**
 * A Theazo sandbox for deepagents: the backend of `createDeepAgent`.
 *
 * Commands run in Bash, in `/workspace`, and standard error is merged into standard output in the order of the writes.
 * An abort of the graph ends the command. If the API returns an error, `execute` returns its message as output, with
 * exit code null: a thrown error would end the run. Relative paths are below `/workspace`.
 *
 * @example
 * ```ts
 * import { TheazoSandbox } from '@theazo/langchain/deepagents'
 * import { createDeepAgent } from 'deepagents'
 *
 * await using sandbox = await TheazoSandbox.create({ session, initialFiles: { 'data.csv': 'a,b\n1,2\n' } })
 * const assistant = createDeepAgent({ model: 'claude-sonnet-5-5', backend: sandbox })
 * ```
 */
export class TheazoSandbox extends BaseSandbox implements AsyncDisposable {
  // Private fields: neither JSON nor an inspector shows the objects that contain the key.
  readonly #options: CreateTheazoSandboxOptions | undefined
  readonly #timeoutMs: number | undefined
  #agent: Agent | undefined
  #start: Promise<void> | undefined
  #isClosed = false

  /** Creates nothing yet: call {@link TheazoSandbox.initialize}, or use {@link TheazoSandbox.create}. */
  constructor(options: CreateTheazoSandboxOptions | { agent: Agent; timeoutMs?: number | undefined }) {
    super()
    this.#timeoutMs = options.timeoutMs
    if ('session' in options) this.#options = options
    else this.#agent = options.agent
  }

  /**
   * Creates an agent and writes the initial files. {@link TheazoSandbox.close} terminates it.
   *
   * @throws {TheazoError} of `session.agents.create`.
   * @throws {SandboxError} `FILE_OPERATION_FAILED` if an initial file cannot be written; the agent is terminated.
   */
  static async create(options: CreateTheazoSandboxOptions): Promise<TheazoSandbox> {
    const sandbox = new TheazoSandbox(options)
    await sandbox.initialize()
    return sandbox
  }

  /**
   * The sandbox of an agent that exists already. {@link TheazoSandbox.close} leaves the agent as it is.
   *
   * @throws {NotFoundError} if the client's key has no agent of this id.
   */
  static async fromId(theazo: Theazo, id: string, options: TheazoSandboxOptions = {}): Promise<TheazoSandbox> {
    const agent = theazo.agent(id)
    await agent.refresh()
    return TheazoSandbox.fromAgent(agent, options)
  }

  /** The sandbox of this agent. {@link TheazoSandbox.close} leaves the agent as it is. */
  static fromAgent(agent: Agent, { timeoutMs }: TheazoSandboxOptions = {}): TheazoSandbox {
    return new TheazoSandbox({ agent, timeoutMs })
  }

  /** Id of the agent; `theazo` before {@link TheazoSandbox.initialize}, because the protocol requires a string. */
  get id(): string {
    return this.#agent?.id ?? 'theazo'
  }

  /** True from the end of {@link TheazoSandbox.initialize} to {@link TheazoSandbox.close}. */
  get isRunning(): boolean {
    return this.#agent !== undefined && !this.#isClosed
  }

  /** @throws {SandboxError} `NOT_INITIALIZED` before {@link TheazoSandbox.initialize} and after {@link TheazoSandbox.close}. */
  get agent(): Agent {
    if (this.#agent && !this.#isClosed) return this.#agent
    const state = this.#isClosed ? 'is closed: create another one' : 'is not initialized: call initialize() first'
    throw new SandboxError(`The Theazo sandbox ${state}.`, 'NOT_INITIALIZED')
  }

  /**
   * Creates the agent and writes the initial files. After a failure it may be called again.
   *
   * @throws {SandboxError} `ALREADY_INITIALIZED` on a second call.
   */
  async initialize(): Promise<void> {
    if (this.#agent || this.#start || this.#isClosed || !this.#options) {
      throw new SandboxError('The Theazo sandbox is already initialized.', 'ALREADY_INITIALIZED')
    }
    this.#start = this.#create(this.#options)
    try {
      await this.#start
    } finally {
      this.#start = undefined
    }
  }

  async #create({ session, agent: options = {}, initialFiles = {} }: CreateTheazoSandboxOptions): Promise<void> {
    const agent = await createIdleAgent(session.agents, options)
    try {
      const encoder = new TextEncoder()
      const files = Object.entries(initialFiles).map(
        ([path, content]) => [path, typeof content === 'string' ? encoder.encode(content) : content] as const,
      )
      for (const { path, error } of await uploadAll(agent.files, files)) {
        if (error) throw new SandboxError(`initialFiles: ${path}: ${error}.`, 'FILE_OPERATION_FAILED')
      }
      if (this.#isClosed) throw new SandboxError('The Theazo sandbox was closed while it started.', 'NOT_INITIALIZED')
    } catch (error) {
      if (agent.isNew) await agent.terminate().catch(() => {})
      throw error
    }
    this.#agent = agent
  }

  override async execute(command: string): Promise<ExecuteResponse> {
    const { agent } = this
    const { signal } = AsyncLocalStorageProviderSingleton.getRunnableConfig() ?? {}
    try {
      const options = { signal, timeoutMs: this.#timeoutMs }
      // Only one pipe for both streams keeps the order of the writes.
      const {
        stdout,
        stderr,
        exitCode,
        stdoutTruncated = false,
      } = await agent.exec('bash', `exec 2>&1\n${command}`, options)
      return { output: stdout + stderr, exitCode, truncated: stdoutTruncated }
    } catch (error) {
      if (signal?.aborted || !TheazoError.isInstance(error)) throw error
      return failedCommand(error)
    }
  }

  override async uploadFiles(files: [string, Uint8Array][]): Promise<FileUploadResponse[]> {
    return await uploadAll(this.agent.files, files)
  }

  override async downloadFiles(paths: string[]): Promise<FileDownloadResponse[]> {
    return await downloadAll(this.agent.files, paths)
  }

  /** Terminates the agent if this sandbox created it. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#start?.catch(() => {})
    if (this.#options && this.#agent?.isNew) await this.#agent.terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** A throw would end the user's whole run: therefore the model receives the error as output of the command. */
function failedCommand(error: TheazoError): ExecuteResponse {
  const isTimeout = ServerTimeoutError.isInstance(error) || TimeoutError.isInstance(error)
  const { stdout = '', stderr = '' } = (error.details ?? {}) as { stdout?: string; stderr?: string }
  return {
    output: `${stdout}${stderr}\n[${modelText(error.message)}]`.trimStart(),
    exitCode: isTimeout ? 124 : null, // the exit code of timeout(1)
    truncated: false,
  }
}
