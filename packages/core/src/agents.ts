import { Agent } from './agent.ts'
import { parseJson, readText } from './transport/responses.ts'
import { ConflictError, TimeoutError } from './errors.ts'
import { itemsOf, type ListOptions, PagedList } from './transport/pages.ts'
import type { Transport } from './transport/transport.ts'
import type { CallOptions } from './transport/transport-options.ts'
import type { AgentStatus, CreateAgentBody, CreateAgentExtensions, Feature, Page, Agent as WireAgent } from './wire.ts'
import { errorOf } from './transport/wire-error.ts'

/** Options of {@link SessionAgents.create}. */
export interface CreateAgentOptions extends CallOptions, CreateAgentExtensions {
  /** Default: the server's default provider. */
  compute?: CreateAgentBody['compute']
  /** Model of the agent's own loop. */
  model?: CreateAgentBody['model']
  /** Attach a headless browser. Default false. */
  browser?: boolean | undefined
  /** Added before the prompt of every task. */
  instructions?: string | undefined
  /** Names of built-in tools that the agent's own loop may call. Default: the server's default set. */
  tools?: string[] | undefined
  /** Seconds that one run may take. Default 300. */
  timeoutSeconds?: number | undefined
  /** Wait until the sandbox is ready (`idle`). Default false: `exec` and `run` wait for a booting agent themselves. */
  waitUntilReady?: boolean | undefined
}

/** Options of {@link SessionAgents.list}. */
export interface ListAgentsOptions extends ListOptions {
  status?: AgentStatus | undefined
  name?: string | undefined
}

/** How long a sandbox may take to boot; some providers start virtual machines. */
const defaultReadyTimeoutMs = 120_000

/** Finds agents of any session by their id. */
export class Agents {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * Reads one agent.
   *
   * @throws {NotFoundError} if the key can see no such agent.
   * @example
   * ```ts
   * const { AGENT_ID = '' } = process.env // stored by another process
   * const agent = await theazo.agents.get(AGENT_ID)
   * if (agent.data.status === 'paused') await agent.resume()
   * ```
   */
  async get(id: string, options: CallOptions = {}): Promise<Agent> {
    return await new Agent(this.#transport, id).refresh(options)
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
   * Creates an agent. The server starts its sandbox immediately. If an agent of the session already has the `name`,
   * that agent is returned unchanged.
   *
   * @throws {TheazoError} `UnprocessableEntityError` names the options that this server cannot provide; `ConflictError`
   *   if the agent with this name has another compute, model, browser or network; `ProviderError` if the sandbox could
   *   not start; `SessionLimitExceededError` at a limit of the session; `NotSupportedError` for `name`, `metadata`,
   *   `network` and `idleTimeout` on a server without the extension `agents`.
   * @example
   * ```ts
   * await using agent = await session.agents.create({
   *   network: { allow: ['api.github.com'] },
   *   idleTimeout: { seconds: 1800, action: 'terminate' },
   * })
   * ```
   */
  async create(options: CreateAgentOptions = {}): Promise<Agent> {
    const { signal, timeoutMs, idempotencyKey, timeoutSeconds, waitUntilReady, ...rest } = options
    // A server without the extension would ignore these fields. With a name, each call would create another agent.
    const needs: [Feature, string][] = []
    if (rest.name !== undefined) needs.push(['agents', 'agents.create with a name'])
    if (rest.metadata !== undefined) needs.push(['agents', 'agents.create with metadata'])
    if (rest.network !== undefined) needs.push(['agents', 'agents.create with a network'])
    if (rest.approvals !== undefined) needs.push(['approvals', 'agents.create with approvals'])
    if (rest.idleTimeout !== undefined) needs.push(['agents', 'agents.create with an idleTimeout'])
    const deadlineAt = this.#transport.clock.now() + (timeoutMs ?? defaultReadyTimeoutMs)
    const body: CreateAgentBody & CreateAgentExtensions = { ...rest, timeout: timeoutSeconds }
    const path = ['sessions', this.#sessionId, 'agents']
    const request = { method: 'POST', path, body, needs, signal, timeoutMs, idempotencyKey } as const
    const agent = await this.#transport.call(request, async (response, attempt) => {
      const data = parseJson<WireAgent>(response, await readText(response), attempt)
      return new Agent(this.#transport, data.id, data, response.status === 201)
    })
    if (waitUntilReady) await this.#waitUntilReady(agent, deadlineAt, signal)
    return agent
  }

  /**
   * The agents of the session, newest first.
   *
   * @throws {NotSupportedError} without the extension `sessions`.
   * @example
   * ```ts
   * for await (const agent of session.agents.list({ status: 'idle' })) await agent.pause()
   * ```
   */
  list({ status, name, ...options }: ListAgentsOptions = {}): PagedList<Agent> {
    const { limit, signal } = options
    const path = ['sessions', this.#sessionId, 'agents']
    return new PagedList(async (cursor) => {
      const query = { limit, cursor, status, name }
      const page = await this.#transport.request<Page<WireAgent>>({
        method: 'GET',
        path,
        query,
        feature: 'sessions',
        signal,
      })
      return { ...page, data: itemsOf(page).map((data) => new Agent(this.#transport, data.id, data)) }
    }, options)
  }

  async #waitUntilReady(agent: Agent, deadlineAt: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#transport
    for (let waitMs = 50; agent.data.status === 'booting'; waitMs = Math.min(2 * waitMs, 1000)) {
      if (clock.now() + waitMs > deadlineAt) {
        const message = `Agent ${agent.id} was still booting at the deadline. Pass a larger timeoutMs, or call refresh() later.`
        throw new TimeoutError(message, { code: 'client_timeout', details: { agentId: agent.id } })
      }
      await clock.sleep(waitMs, signal)
      await agent.refresh({ signal, timeoutMs: Math.max(1, deadlineAt - clock.now()) })
    }
    const { status, reason } = agent.data
    const details = { agentId: agent.id }
    if (status === 'failed') {
      throw errorOf(
        'provider_error',
        `Agent ${agent.id} has failed: ${this.#transport.redact(reason ?? 'no reason was given')}`,
        { details },
      )
    }
    if (status === 'terminated') {
      throw new ConflictError(`Agent ${agent.id} was terminated while it booted.`, { code: 'conflict', details })
    }
  }
}
