import type { Agent } from '@theazo/core'
import { RequestError } from '../request-error.ts'

/** The cap on subscriptions of one client. Each has a connection to the Theazo server. */
const maxSubscriptions = 20

/** Reports changes of agents' status. */
export class StatusSubscriptions {
  readonly #onChange: (uri: string) => void
  readonly #byUri = new Map<string, AbortController>()

  constructor(onChange: (uri: string) => void) {
    this.#onChange = onChange
  }

  /** Reports changes from when `open` has returned the agent. @throws {RequestError} if there are too many. */
  async add(uri: string, open: () => Promise<Agent>): Promise<void> {
    if (this.#byUri.has(uri)) return
    if (this.#byUri.size >= maxSubscriptions) {
      throw new RequestError('invalid', `There are ${maxSubscriptions} subscriptions already. Unsubscribe from one.`)
    }
    const stop = new AbortController()
    this.#byUri.set(uri, stop)
    try {
      const agent = await open()
      if (!stop.signal.aborted) void this.#follow(uri, agent, stop) // the client may unsubscribe before
    } catch (error) {
      this.#forget(uri, stop)
      throw error
    }
  }

  delete(uri: string): void {
    this.#byUri.get(uri)?.abort()
    this.#byUri.delete(uri)
  }

  clear(): void {
    for (const uri of Array.from(this.#byUri.keys())) this.delete(uri)
  }

  async #follow(uri: string, agent: Agent, stop: AbortController): Promise<void> {
    try {
      for await (const { type } of agent.stream({ signal: stop.signal })) if (type === 'status') this.#onChange(uri)
    } catch {
      // The client reads the status to see what happened: the agent ended, or the server is not reachable.
    }
    if (stop.signal.aborted) return
    this.#onChange(uri)
    this.#forget(uri, stop)
  }

  /** Another subscription to the same URI may have replaced this one. */
  #forget(uri: string, stop: AbortController): void {
    if (this.#byUri.get(uri) === stop) this.#byUri.delete(uri)
  }
}
