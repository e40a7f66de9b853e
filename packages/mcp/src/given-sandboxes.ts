import type { SandboxSource, ToolSandbox } from '@theazo/core/tools'
import { ResourceError } from './resource-error.ts'

/** Ids that are remembered: a sandbox that is lost gets a successor with another id. */
const maxIds = 20

/** The sandbox that a server works in, and the ids of it that its client was given. */
export class GivenSandboxes {
  readonly #source: SandboxSource
  /** Oldest first. */
  readonly #ids = new Set<string>()

  constructor(source: SandboxSource) {
    this.#source = source
    if (typeof source !== 'function') this.give(source)
  }

  /** The sandbox of a call that starts now. */
  async current(): Promise<ToolSandbox> {
    return typeof this.#source === 'function' ? await this.#source() : this.#source
  }

  /** Remembers that the client was given this sandbox's id, and answers the id. */
  give({ id }: ToolSandbox): string {
    this.#ids.delete(id)
    this.#ids.add(id)
    const [oldest] = this.#ids
    if (this.#ids.size > maxIds && oldest !== undefined) this.#ids.delete(oldest)
    return id
  }

  /**
   * The sandbox of an id that the client was given.
   *
   * @throws {ResourceError} for any other id, and for one of an earlier sandbox; the message names the valid ids.
   */
  async byId(id: string): Promise<ToolSandbox> {
    if (!this.#ids.has(id)) {
      const valid = Array.from(this.#ids).join(', ')
      const advice = valid ? `Valid: ${valid}.` : 'There is none yet: call a tool first.'
      throw new ResourceError('invalid', `Agent ${id} is not one that this server gave out. ${advice}`)
    }
    const sandbox = await this.current()
    if (sandbox.id === id) return sandbox
    const message = `Agent ${id} is gone, and its files are lost. The agent now is ${this.give(sandbox)}.`
    throw new ResourceError('not_found', message)
  }
}
