import type { CallOptions, Transport } from './transport.ts'
import type { Agent as WireAgent, CreateAgentBody, ExecBody, ExecResult, Language, OkBody } from './wire.ts'

/** The server gives an exec 120 s; the margin lets its own answer arrive first. */
const defaultExecTimeoutMs = 130_000

/** What a new agent is given. */
export interface CreateAgentOptions extends CallOptions {
  /** Default: the server's own. */
  compute?: CreateAgentBody['compute']
  /** Model of the agent's own loop. */
  model?: CreateAgentBody['model']
  /** Attach a headless browser. Default false. */
  browser?: boolean | undefined
  /** Put before every task prompt. */
  instructions?: string | undefined
  /** Built-in tools of the agent's own loop, by name. Default: the server's default set. */
  tools?: string[] | undefined
  /** Seconds one run may take. Default 300. */
  timeoutSeconds?: number | undefined
}

/** What one exec may be given. `timeoutMs` is 130,000 by default. */
export type ExecOptions = CallOptions

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
  /** The agent as the server last described it. */
  readonly data: WireAgent
  readonly #transport: Transport
  #isTerminated = false

  constructor(transport: Transport, data: WireAgent) {
    this.#transport = transport
    this.id = data.id
    this.data = data
  }

  /**
   * Runs code in the sandbox and waits for its end. A non-zero exit is a result.
   *
   * @throws {TheazoError} `ServerTimeoutError` after the server's 120 s, `ConflictError` on a terminated agent,
   *   `ProviderError` where the sandbox could not start. An abort closes the request, which kills the code.
   */
  exec(
    lang: Language,
    code: string,
    { signal, timeoutMs = defaultExecTimeoutMs }: ExecOptions = {},
  ): Promise<ExecResult> {
    const body: ExecBody = { lang, code }
    return this.#transport.request({ method: 'POST', path: ['agents', this.id, 'exec'], body, signal, timeoutMs })
  }

  /** Ends the agent for good: compute and files are gone. Again is fine. */
  async terminate(options: CallOptions = {}): Promise<void> {
    await this.#transport.request<OkBody>({ method: 'POST', path: ['agents', this.id, 'terminate'], ...options })
    this.#isTerminated = true
  }

  /** `await using` terminates the agent, unless {@link terminate} has. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isTerminated) await this.terminate()
  }
}

/** Agents by id, whatever their session. */
export class Agents {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** @throws {NotFoundError} where the key sees no such agent. */
  async get(id: string, options: CallOptions = {}): Promise<Agent> {
    return new Agent(
      this.#transport,
      await this.#transport.request({ method: 'GET', path: ['agents', id], ...options }),
    )
  }
}

/** The agents of one session. */
export class SessionAgents {
  readonly #transport: Transport
  readonly #sessionId: string

  constructor(transport: Transport, sessionId: string) {
    this.#transport = transport
    this.#sessionId = sessionId
  }

  /**
   * Creates an agent; its sandbox is provisioned at once.
   *
   * @throws {TheazoError} `UnprocessableEntityError` names what this server cannot give; `ProviderError` where the
   *   sandbox could not start; `SessionLimitExceededError` at a limit.
   */
  async create({ signal, timeoutMs, timeoutSeconds, ...rest }: CreateAgentOptions = {}): Promise<Agent> {
    const body = timeoutSeconds === undefined ? rest : { ...rest, timeout: timeoutSeconds }
    const path = ['sessions', this.#sessionId, 'agents']
    return new Agent(this.#transport, await this.#transport.request({ method: 'POST', path, body, signal, timeoutMs }))
  }
}
