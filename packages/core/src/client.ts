import { Agent } from './agent.ts'
import { Agents } from './agents.ts'
import { Session, Sessions } from './sessions.ts'
import { Transport } from './transport/transport.ts'
import { setTransport } from './transport/transport-of.ts'
import type { TransportOptions } from './transport/transport-options.ts'
import { Usage } from './usage.ts'

/** Options of {@link Theazo}. Each has a default; that of the API key is an environment variable. */
export type TheazoOptions = TransportOptions

/**
 * Client of the Theazo API.
 *
 * @throws {ConfigurationError} if there is no API key, or if an option is invalid.
 * @example
 * ```ts
 * import { Theazo } from '@theazo/core'
 *
 * const theazo = new Theazo() // reads THEAZO_API_KEY and THEAZO_BASE_URL
 * const session = await theazo.sessions.forUser('user_123')
 * await using agent = await session.agents.create()
 * console.log(await agent.exec('bash', 'uname -a'))
 * ```
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

  /**
   * A handle of a session, made from its id without a request. Its `data` throws until `refresh` is called.
   *
   * @example
   * ```ts
   * const { SESSION_ID = '' } = process.env // stored by another process
   * const agent = await theazo.session(SESSION_ID).agents.create()
   * ```
   */
  session(id: string): Session {
    return new Session(this.#transport, id)
  }

  /**
   * A handle of an agent, made from its id without a request. Its `data` throws until `refresh` is called.
   *
   * @example
   * ```ts
   * const { AGENT_ID = '' } = process.env // stored by another process
   * const { stdout } = await theazo.agent(AGENT_ID).exec('bash', 'ls')
   * ```
   */
  agent(id: string): Agent {
    return new Agent(this.#transport, id)
  }
}
