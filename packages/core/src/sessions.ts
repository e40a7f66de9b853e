import { SessionAgents } from './agents.ts'
import type { CallOptions, Transport } from './transport.ts'
import type { CreateSessionBody, Session as WireSession, SessionForUserBody } from './wire.ts'

/** What a new session is given. */
export interface CreateSessionOptions extends CreateSessionBody, CallOptions {}

/** What a user's session is given, should the call create it. */
export interface SessionForUserOptions extends SessionForUserBody, CallOptions {}

/** One end user's space; its agents are reached through it. */
export class Session {
  readonly id: string
  readonly agents: SessionAgents
  /** The session as the server last described it. */
  readonly data: WireSession

  constructor(transport: Transport, data: WireSession) {
    this.id = data.id
    this.data = data
    this.agents = new SessionAgents(transport, data.id)
  }
}

/** Sessions: one or more for each of your users. */
export class Sessions {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * Creates a session, also where the user has one already.
   *
   * @throws {UnprocessableEntityError} e.g. for a `userId` that is empty or longer than 256 characters.
   */
  create({ signal, timeoutMs, ...body }: CreateSessionOptions): Promise<Session> {
    return this.#session({ method: 'POST', path: ['sessions'], body, signal, timeoutMs })
  }

  /**
   * The user's newest session that is not terminated, or a new one. Safe to call on every request: concurrent calls
   * give one session. `limits` and `metadata` count only where the call creates it.
   */
  forUser(userId: string, { signal, timeoutMs, ...body }: SessionForUserOptions = {}): Promise<Session> {
    return this.#session({ method: 'POST', path: ['sessions', 'by-user', userId], body, signal, timeoutMs })
  }

  /** @throws {NotFoundError} where the key sees no such session. */
  get(id: string, options: CallOptions = {}): Promise<Session> {
    return this.#session({ method: 'GET', path: ['sessions', id], ...options })
  }

  async #session(request: Parameters<Transport['request']>[0]): Promise<Session> {
    return new Session(this.#transport, await this.#transport.request<WireSession>(request))
  }
}
