import type { SandboxSource, ToolSandbox } from '@theazo/core/tools'
import { ResourceError } from './resource-error.ts'

/** The number of ids to remember. A lost sandbox is replaced by one with another id. */
const maxIds = 20

/** The sandbox of an MCP server, and the agent ids that its client has received: only their files are resources. */
export class AdvertisedSandboxes {
  readonly #source: SandboxSource
  /** Oldest first. */
  readonly #ids = new Set<string>()

  constructor(source: SandboxSource) {
    this.#source = source
    if (typeof source !== 'function') this.advertise(source)
  }

  /** The sandbox for a call that starts now. */
  async current(): Promise<ToolSandbox> {
    return typeof this.#source === 'function' ? await this.#source() : this.#source
  }

  /** Records that the client receives this sandbox's id, and returns the id. */
  advertise({ id }: ToolSandbox): string {
    this.#ids.delete(id)
    this.#ids.add(id)
    const [oldest] = this.#ids
    if (this.#ids.size > maxIds && oldest !== undefined) this.#ids.delete(oldest)
    return id
  }

  /**
   * The sandbox with an id that the client has received.
   *
   * @throws {ResourceError} for any other id, and for the id of an earlier sandbox. The message names the valid ids.
   */
  async byId(id: string): Promise<ToolSandbox> {
    if (!this.#ids.has(id)) {
      const valid = Array.from(this.#ids).join(', ')
      const advice = valid ? `Valid: ${valid}.` : 'No sandbox exists yet: call a tool first.'
      throw new ResourceError('invalid', `Agent ${id} is not an agent of this server. ${advice}`)
    }
    const sandbox = await this.current()
    if (sandbox.id === id) return sandbox
    const message = `Agent ${id} is gone, and its files are lost. The current agent is ${this.advertise(sandbox)}.`
    throw new ResourceError('not_found', message)
  }
}
