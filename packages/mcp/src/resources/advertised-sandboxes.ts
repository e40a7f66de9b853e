import type { Agent } from '@theazo/core'
import { type SandboxSource, ToolInputError, type ToolSandbox, type ToolSource } from '@theazo/core/tools'
import { RequestError } from '../request-error.ts'

/** The number of ids to remember: as many as `list_agents` returns, and some that are gone. */
const maxIds = 70

/**
 * The sandboxes of one MCP session: the current one of its tools, and the agent ids that its client has received. The
 * client can name no other agent, even if the same user has more of them in other sessions.
 */
export class AdvertisedSandboxes {
  readonly account: ToolSource['account']
  readonly #source: SandboxSource
  /** Oldest first. */
  readonly #ids = new Set<string>()
  #currentId: string | undefined

  constructor({ sandbox, account }: ToolSource) {
    this.#source = sandbox
    this.account = account
    if (typeof sandbox !== 'function') this.#currentId = this.advertise(sandbox.id)
  }

  /** The ids that the client has received, oldest first. */
  get ids(): readonly string[] {
    return Array.from(this.#ids)
  }

  /** The id of the sandbox that the last call used; undefined if the client has not received it. It creates no sandbox. */
  get currentId(): string | undefined {
    return this.#currentId !== undefined && this.#ids.has(this.#currentId) ? this.#currentId : undefined
  }

  /** The sandbox for a call that starts now. */
  async current(): Promise<ToolSandbox> {
    const sandbox = typeof this.#source === 'function' ? await this.#source() : this.#source
    this.#currentId = sandbox.id
    return sandbox
  }

  /** Records that the client receives this id, and returns it. */
  advertise(id: string): string {
    this.#ids.delete(id)
    this.#ids.add(id)
    const [oldest] = this.#ids
    if (this.#ids.size > maxIds && oldest !== undefined) this.#ids.delete(oldest)
    return id
  }

  /** Records the ids in the data of a result. A list of agents is newest first. */
  advertiseData(data: object): void {
    const { agentId, agents } = data as { agentId?: unknown; agents?: unknown }
    const listed = Array.isArray(agents) ? agents.map((agent: { agentId?: unknown }) => agent.agentId) : []
    for (const id of [...listed.toReversed(), agentId]) if (typeof id === 'string') this.advertise(id)
  }

  /** @throws {ToolInputError} if a tool's input names an agent that the client has not received. */
  assertKnown(input: unknown): void {
    const agentId = typeof input === 'object' && input !== null && 'agentId' in input ? input.agentId : undefined
    if (typeof agentId !== 'string' || agentId.trim() === '' || this.#ids.has(agentId)) return
    const valid = this.#ids.size === 0 ? 'none yet' : Array.from(this.#ids).join(', ')
    throw new ToolInputError(`There is no sandbox ${agentId.slice(0, 128)} of this user; there are ${valid}.`)
  }

  /**
   * The sandbox with an id that the client has received.
   *
   * @throws {RequestError} for any other id, and for the id of a sandbox that is gone. The message names the valid ids.
   */
  async byId(id: string, signal?: AbortSignal): Promise<ToolSandbox> {
    this.assertReceived(id)
    const sandbox = await this.current()
    if (sandbox.id === id) return sandbox
    const other = await this.#agentById(id, signal)
    if (other && other.data.status !== 'terminated' && other.data.status !== 'failed') return other
    const message = `Agent ${id} is gone, and its files are lost. The current agent is ${this.advertise(sandbox.id)}.`
    throw new RequestError('not_found', message)
  }

  /**
   * The agent with an id that the client has received, in any status. It creates nothing.
   *
   * @throws {RequestError} for any other id, and for a sandbox that is not an agent of the Theazo API.
   */
  async agent(id: string, signal?: AbortSignal): Promise<Agent> {
    this.assertReceived(id)
    if (!(await this.account())) throw new RequestError('invalid', `Sandbox ${id} is not an agent of the Theazo API.`)
    const agent = await this.#agentById(id, signal)
    if (agent) return agent
    throw new RequestError('not_found', `Agent ${id} is gone.`)
  }

  /** @throws {RequestError} for an id that the client has not received. */
  assertReceived(id: string): void {
    if (this.#ids.has(id)) return
    const valid = this.ids.join(', ')
    const advice = valid ? `Valid: ${valid}.` : 'No sandbox exists yet: call a tool first.'
    throw new RequestError('invalid', `Agent ${id} is not an agent of this server. ${advice}`)
  }

  async #agentById(id: string, signal: AbortSignal | undefined): Promise<Agent | undefined> {
    const account = await this.account()
    for await (const agent of account?.session.agents.list({ signal }) ?? []) if (agent.id === id) return agent
    return undefined
  }
}
