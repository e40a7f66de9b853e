import { Agent } from './agent.ts'
import { Agents } from './agents.ts'
import { Session, Sessions } from './sessions.ts'
import { Transport } from './transport/transport.ts'
import { setTransport } from './transport/transport-of.ts'
import type { TransportOptions } from './transport/transport-options.ts'
import { Usage } from './usage.ts'

/** Options of the client; all have a default. */
export type TheazoOptions = TransportOptions

/**
 * Client of the Theazo API.
 *
 * @example
 * ```ts
 * const theazo = new Theazo() // THEAZO_API_KEY
 * const session = await theazo.sessions.forUser('user_123')
 * await using agent = await session.agents.create()
 * console.log(await agent.exec('bash', 'uname -a'))
 * ```
 *
 * @throws {ConfigurationError} where there is no key, or a base URL that is none.
 */
export class Theazo {
  readonly baseUrl: string
  readonly sessions: Sessions
  readonly agents: Agents
  readonly usage: Usage
  readonly #transport: Transport

  constructor(options: TheazoOptions = {}) {
    this.#transport = new Transport(options)
    setTransport(this, this.#transport)
    this.baseUrl = this.#transport.baseUrl
    this.sessions = new Sessions(this.#transport)
    this.agents = new Agents(this.#transport)
    this.usage = new Usage(this.#transport)
  }

  /** A session by its id, without a request: for what another process has stored. */
  session(id: string): Session {
    return new Session(this.#transport, id)
  }

  /** An agent by its id, without a request: for what another process has stored. */
  agent(id: string): Agent {
    return new Agent(this.#transport, id)
  }
}
