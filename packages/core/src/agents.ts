import { Agent } from './agent.ts'
import { parseJson, readText } from './transport/answers.ts'
import { ConflictError, TimeoutError } from './errors.ts'
import { itemsOf, type ListOptions, PagedList } from './transport/pages.ts'
import type { Transport } from './transport/transport.ts'
import type { CallOptions } from './transport/transport-options.ts'
import type { AgentStatus, CreateAgentBody, CreateAgentExtensions, Feature, Page, Agent as WireAgent } from './wire.ts'
import { errorOf } from './transport/wire-error.ts'

/** What a new agent is given. */
export interface CreateAgentOptions extends CallOptions, CreateAgentExtensions {
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
  /** Wait until the sandbox is there (`idle`). Default false: exec and run on an agent that boots wait by themselves. */
  waitUntilReady?: boolean | undefined
}

/** Which agents of a session are listed. */
export interface ListAgentsOptions extends ListOptions {
  status?: AgentStatus | undefined
  name?: string | undefined
}

/** Milliseconds that a sandbox may take to boot; some providers start virtual machines. */
const defaultReadyTimeoutMs = 120_000

/** Agents by id, whatever their session. */
export class Agents {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** @throws {NotFoundError} where the key sees no such agent. */
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
   * Creates an agent; its sandbox is provisioned at once. With a `name` that an agent of the session has already,
   * answers that one.
   *
   * @throws {TheazoError} `UnprocessableEntityError` names what this server cannot give; `ConflictError` where the agent
   *   that has the name has another compute, model, browser or network; `ProviderError` where the sandbox could not start; `SessionLimitExceededError` at a limit; `NotSupportedError` for `name`, `metadata`,
   *   `network` and `idleTimeout` on a server without the extension `agents`.
   */
  async create(options: CreateAgentOptions = {}): Promise<Agent> {
    const { signal, timeoutMs, idempotencyKey, timeoutSeconds, waitUntilReady, ...rest } = options
    // Such a server would ignore the name, and make a further agent at each call.
    const needs: [Feature, string][] = []
    if (rest.name !== undefined) needs.push(['agents', 'agents.create with a name'])
    if (rest.metadata !== undefined) needs.push(['agents', 'agents.create with metadata'])
    if (rest.network !== undefined) needs.push(['agents', 'agents.create with a network'])
    if (rest.idleTimeout !== undefined) needs.push(['agents', 'agents.create with an idleTimeout'])
    const deadlineAt = this.#transport.clock.now() + (timeoutMs ?? defaultReadyTimeoutMs)
    const body: CreateAgentBody & CreateAgentExtensions = { ...rest, timeout: timeoutSeconds }
    const path = ['sessions', this.#sessionId, 'agents']
    const request = { method: 'POST', path, body, needs, signal, timeoutMs, idempotencyKey } as const
    const agent = await this.#transport.call(request, async (response, attempt) => {
      const data = parseJson<WireAgent>(response, await readText(response), attempt)
      return new Agent(this.#transport, data.id, data, response.status === 201)
    })
    if (waitUntilReady) await this.#ready(agent, deadlineAt, signal)
    return agent
  }

  /** @throws {NotSupportedError} without the extension `sessions`. */
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

  async #ready(agent: Agent, deadlineAt: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#transport
    for (let waitMs = 50; agent.data.status === 'booting'; waitMs = Math.min(2 * waitMs, 1000)) {
      if (clock.now() + waitMs > deadlineAt) {
        const message = `Agent ${agent.id} was still booting when its time was up.`
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
