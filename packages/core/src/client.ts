import { Agents } from './agents.ts'
import { Sessions } from './sessions.ts'
import { Transport, type TransportOptions } from './transport.ts'

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

  constructor(options: TheazoOptions = {}) {
    const transport = new Transport(options)
    this.baseUrl = transport.baseUrl
    this.sessions = new Sessions(transport)
    this.agents = new Agents(transport)
  }
}
