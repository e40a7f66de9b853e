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

/** Options of {@link Sessions.create}. */
export interface CreateSessionOptions extends CreateSessionBody, CallOptions {}

/** Options of {@link Sessions.forUser}. `limits` and `metadata` apply only if the call creates the session. */
export interface SessionForUserOptions extends SessionForUserBody, CallOptions {}

/** Options of {@link Sessions.list}. The filters `userId` and `status` need the extension `sessions`. */
export interface ListSessionsOptions extends ListOptions {
  userId?: string | undefined
  status?: WireSession['status'] | undefined
}

/** Options of {@link Session.update}. */
export interface UpdateSessionOptions extends UpdateSessionBody, CallOptions {}

/**
 * The isolated space of one end user. It creates and lists the user's agents.
 *
 * @example
 * ```ts
 * const session = await theazo.sessions.forUser('user_123')
 * await using agent = await session.agents.create()
 * ```
 */
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
   * @throws {ConfigurationError} if this handle was made from an id alone and `refresh` was not called.
   */
  get data(): WireSession {
    if (this.#data) return this.#data
    throw configurationError(`Session ${this.id} has no data yet: call refresh() first.`)
  }

  /**
   * Reads the session from the server again.
   *
   * @throws {NotSupportedError} without the extension `sessions`.
   * @example
   * ```ts
   * const { status, limits } = (await session.refresh()).data
   * ```
   */
  async refresh(options: CallOptions = {}): Promise<this> {
    return await this.#update({ method: 'GET', path: ['sessions', this.id], feature: 'sessions', ...options })
  }

  /**
   * Changes limits and metadata. The given fields are merged into the stored ones; null removes a field.
   *
   * @throws {NotSupportedError} without the extension `sessions`.
   * @example
   * ```ts
   * await session.update({
   *   limits: { maxCost: { amount: 500, currency: 'usd', period: 'month' } }, // 5 dollars
   *   metadata: { plan: null },
   * })
   * ```
   */
  async update({ signal, timeoutMs, limits, metadata }: UpdateSessionOptions): Promise<this> {
    const body: UpdateSessionBody = { limits, metadata }
    const path = ['sessions', this.id]
    return await this.#update({ method: 'PATCH', path, body, feature: 'sessions', signal, timeoutMs })
  }

  /**
   * Terminates the session and its agents. Repeated calls succeed.
   *
   * @throws {NotSupportedError} without the extension `sessions`.
   * @example
   * ```ts
   * await session.terminate()
   * ```
   */
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

/** Creates and finds sessions. Each of your users can have several. */
export class Sessions {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * Creates a session, even if the user already has one.
   *
   * @throws {TheazoError} `UnprocessableEntityError` e.g. for a `userId` that is empty or longer than 256 characters;
   *   `ConfigurationError` for the user ids `.` and `..`, which {@link Sessions.forUser} could not send.
   * @example
   * ```ts
   * const session = await theazo.sessions.create({
   *   userId: 'user_123',
   *   limits: { maxCost: { amount: 500, currency: 'usd', period: 'month' } }, // 5 dollars
   * })
   * ```
   */
  async create({ signal, timeoutMs, idempotencyKey, ...body }: CreateSessionOptions): Promise<Session> {
    if (isDotSegment(body.userId)) encodeSegment(body.userId) // throws the error
    return await this.#session({ method: 'POST', path: ['sessions'], body, signal, timeoutMs, idempotencyKey })
  }

  /**
   * The user's newest session that is not terminated, or a new one. It is safe to call this for every request:
   * concurrent calls return the same session. `limits` and `metadata` apply only if the call creates the session.
   *
   * @example
   * ```ts
   * const session = await theazo.sessions.forUser('user_123', { metadata: { plan: 'free' } })
   * ```
   */
  forUser(userId: string, options: SessionForUserOptions = {}): Promise<Session> {
    const { signal, timeoutMs, idempotencyKey, ...body } = options
    const path = ['sessions', 'by-user', userId]
    return this.#session({ method: 'POST', path, body, isRepeatable: true, signal, timeoutMs, idempotencyKey })
  }

  /**
   * All sessions that the key can see, newest first.
   *
   * @throws {NotSupportedError} for a filter, without the extension `sessions`: such a server ignores filters.
   * @example
   * ```ts
   * for await (const session of theazo.sessions.list({ status: 'active' })) console.log(session.data.userId)
   * ```
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

  /**
   * Reads one session.
   *
   * @throws {NotFoundError} if the key can see no such session; `NotSupportedError` without the extension `sessions`.
   * @example
   * ```ts
   * const { SESSION_ID = '' } = process.env // stored by another process
   * const session = await theazo.sessions.get(SESSION_ID)
   * ```
   */
  get(id: string, options: CallOptions = {}): Promise<Session> {
    return this.#session({ method: 'GET', path: ['sessions', id], feature: 'sessions', ...options })
  }

  async #session(request: TransportRequest): Promise<Session> {
    const data = await this.#transport.request<WireSession>(request)
    return new Session(this.#transport, data.id, data)
  }
}
