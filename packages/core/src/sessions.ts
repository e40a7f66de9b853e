import { SessionAgents } from './agents.ts'
import { configurationError } from './errors.ts'
import { itemsOf, type ListOptions, PagedList } from './transport/pages.ts'
import { encodeSegment, isDotSegment } from './transport/request-parts.ts'
import type { Transport, TransportRequest } from './transport/transport.ts'
import { setTransport } from './transport/transport-of.ts'
import type { CallOptions } from './transport/transport-options.ts'
import type {
  CreateSessionBody,
  Feature,
  OkBody,
  Page,
  Session as WireSession,
  SessionForUserBody,
  UpdateSessionBody,
} from './wire.ts'

/** What a new session is given. */
export interface CreateSessionOptions extends CreateSessionBody, CallOptions {}

/** What a user's session is given, should the call create it. */
export interface SessionForUserOptions extends SessionForUserBody, CallOptions {}

/** Which sessions are listed. The filters need the extension `sessions`. */
export interface ListSessionsOptions extends ListOptions {
  userId?: string | undefined
  status?: WireSession['status'] | undefined
}

/** What of a session is changed. */
export interface UpdateSessionOptions extends UpdateSessionBody, CallOptions {}

/** One end user's space; its agents are reached through it. */
export class Session {
  readonly id: string
  readonly agents: SessionAgents
  readonly #transport: Transport
  #data: WireSession | undefined

  constructor(transport: Transport, id: string, data?: WireSession) {
    this.#transport = transport
    setTransport(this, transport)
    this.id = id
    this.#data = data
    this.agents = new SessionAgents(transport, id)
  }

  /**
   * The session as the server last described it.
   *
   * @throws {ConfigurationError} where it never has: a handle made from a bare id, before `refresh`.
   */
  get data(): WireSession {
    if (this.#data) return this.#data
    throw configurationError(`Nothing is known of ${this.id} yet: call refresh().`)
  }

  /** Asks the server anew. @throws {NotSupportedError} without the extension `sessions`. */
  async refresh(options: CallOptions = {}): Promise<this> {
    return await this.#update({ method: 'GET', path: ['sessions', this.id], feature: 'sessions', ...options })
  }

  /**
   * Changes limits and metadata: merged into what is there, null removes.
   *
   * @throws {NotSupportedError} without the extension `sessions`.
   */
  async update({ signal, timeoutMs, limits, metadata }: UpdateSessionOptions): Promise<this> {
    const body: UpdateSessionBody = { limits, metadata }
    const path = ['sessions', this.id]
    return await this.#update({ method: 'PATCH', path, body, feature: 'sessions', signal, timeoutMs })
  }

  /** Ends the session and its agents. @throws {NotSupportedError} without the extension `sessions`. */
  async terminate(options: CallOptions = {}): Promise<void> {
    const path = ['sessions', this.id, 'terminate']
    await this.#transport.request<OkBody>({
      method: 'POST',
      path,
      isRepeatable: true,
      feature: 'sessions',
      ...options,
    })
  }

  async #update(request: TransportRequest): Promise<this> {
    this.#data = await this.#transport.request<WireSession>(request)
    return this
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
   * @throws {TheazoError} `UnprocessableEntityError` e.g. for a `userId` that is empty or longer than 256 characters;
   *   `ConfigurationError` for `.` and `..`, which {@link Sessions.forUser} cannot name.
   */
  async create({ signal, timeoutMs, idempotencyKey, ...body }: CreateSessionOptions): Promise<Session> {
    if (isDotSegment(body.userId)) encodeSegment(body.userId) // for its error
    return await this.#session({ method: 'POST', path: ['sessions'], body, signal, timeoutMs, idempotencyKey })
  }

  /**
   * The user's newest session that is not terminated, or a new one. Safe to call on every request: concurrent calls
   * give one session. `limits` and `metadata` count only where the call creates it.
   */
  forUser(userId: string, options: SessionForUserOptions = {}): Promise<Session> {
    const { signal, timeoutMs, idempotencyKey, ...body } = options
    const path = ['sessions', 'by-user', userId]
    return this.#session({ method: 'POST', path, body, isRepeatable: true, signal, timeoutMs, idempotencyKey })
  }

  /**
   * All sessions that the key sees, newest first.
   *
   * @throws {NotSupportedError} for a filter, without the extension `sessions`: such a server would list them all.
   */
  list({ userId, status, ...options }: ListSessionsOptions = {}): PagedList<Session> {
    const { limit, signal } = options
    return new PagedList(async (cursor) => {
      const isFiltered = userId !== undefined || status !== undefined
      const needs: [Feature, string][] = isFiltered ? [['sessions', 'sessions.list with a filter']] : []
      const query = { limit, cursor, userId, status }
      const page = await this.#transport.request<Page<WireSession>>({
        method: 'GET',
        path: ['sessions'],
        query,
        needs,
        signal,
      })
      return { ...page, data: itemsOf(page).map((data) => new Session(this.#transport, data.id, data)) }
    }, options)
  }

  /** @throws {NotFoundError} where the key sees no such session; `NotSupportedError` without the extension `sessions`. */
  get(id: string, options: CallOptions = {}): Promise<Session> {
    return this.#session({ method: 'GET', path: ['sessions', id], feature: 'sessions', ...options })
  }

  async #session(request: TransportRequest): Promise<Session> {
    const data = await this.#transport.request<WireSession>(request)
    return new Session(this.#transport, data.id, data)
  }
}
