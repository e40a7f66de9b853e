import { createHash } from 'node:crypto'
import { type Clock, every } from '../clock.ts'
import { ApiError } from '../errors.ts'
import { newUlid } from '../ids.ts'
import type { Database } from '../store/database.ts'
import type { IdempotencyRow } from '../store/tables.ts'
import type { ProjectStore } from './project-store.ts'

/** A POST with an idempotency key. */
export interface KeyedRequest {
  keyId: string
  project: string
  /** The value of `Idempotency-Key`. */
  key: string
  path: string
  body: string
  /** True if the request runs code: after an interruption it must not run again. */
  isOnce: boolean
}

/** What to do with the request: send the stored answer, or run it and report its end. */
export type Begun =
  | { kind: 'stored'; status: number; body: string }
  | { kind: 'new'; reserved: string; end: (end: AnswerEnd) => Promise<void> }

/** How a request ended. */
export type AnswerEnd = { status: number; body: string } | 'interrupted' | 'not_kept' | 'forget'

/** How long keys are stored (contract, Basics). */
const retentionMs = 24 * 3_600_000
const sweepMs = 3_600_000

/** Runs POSTs with the same key once (contract, Basics: idempotency). */
export class IdempotentAnswers {
  readonly #database: Database
  readonly #store: ProjectStore
  readonly #clock: Clock
  /** Requests of this process that are not answered yet. */
  readonly #pending = new Map<string, Promise<void>>()
  readonly #stopSweep: () => Promise<void>

  /** @param onError called with errors of background work. */
  constructor(database: Database, store: ProjectStore, clock: Clock, onError: (error: unknown) => void) {
    this.#database = database
    this.#store = store
    this.#clock = clock
    this.#stopSweep = every(clock, sweepMs, () => this.sweep().catch(onError))
  }

  /**
   * Looks up the key. Waits while another request with the same key is in flight.
   *
   * @throws {ApiError} 409 if the key was used for another request, the first request was interrupted, or its answer was
   *   not stored.
   */
  async begin(request: KeyedRequest): Promise<Begun> {
    const { keyId, key } = request
    const name = `${keyId} ${key}`
    for (let first = this.#pending.get(name); first; first = this.#pending.get(name)) await first
    const ended = Promise.withResolvers<void>()
    this.#pending.set(name, ended.promise)
    const release = (): void => {
      this.#pending.delete(name)
      ended.resolve()
    }
    try {
      const begun = await this.#lookUp(request)
      if (begun.kind === 'stored') {
        release()
        return begun
      }
      return { ...begun, end: (end) => begun.end(end).finally(release) }
    } catch (error) {
      release()
      throw error
    }
  }

  /** Deletes keys older than a day. */
  async sweep(): Promise<void> {
    await this.#database
      .deleteFrom('idempotency')
      .where('created_at', '<', this.#clock.now() - retentionMs)
      .execute()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopSweep()
  }

  async #lookUp({ keyId, project, key, path, body, isOnce }: KeyedRequest): Promise<Begun> {
    const request = createHash('sha256').update(`${path}\n${body}`).digest('hex')
    const row = await this.#database
      .selectFrom('idempotency')
      .selectAll()
      .where('key_id', '=', keyId)
      .where('key', '=', key)
      .executeTakeFirst()
    const isStored = row && row.created_at >= this.#clock.now() - retentionMs
    if (isStored && row.request !== request) {
      throw new ApiError('conflict', 'This Idempotency-Key was used for another request. Use a new key.')
    }
    // Not answered and not in flight here: a server was killed, or its store was full.
    const state = isStored && row.state === 'pending' && isOnce ? 'interrupted' : row?.state
    if (isStored && state !== 'pending') return storedAnswer({ ...row, state: state ?? 'pending' })
    const reserved = isStored ? row.reserved : newUlid()
    const started: IdempotencyRow = {
      key_id: keyId,
      key,
      request,
      state: 'pending',
      reserved,
      status: null,
      body: null,
      created_at: this.#clock.now(),
    }
    await this.#database
      .insertInto('idempotency')
      .values(started)
      .onConflict((conflict) => conflict.columns(['key_id', 'key']).doUpdateSet(started))
      .execute()
    return { kind: 'new', reserved, end: (end) => this.#end(started, end, project) }
  }

  async #end({ key_id: keyId, key }: IdempotencyRow, answer: AnswerEnd, project: string): Promise<void> {
    const isFull = typeof answer !== 'string' && (await this.#store.isFull(this.#database, project))
    const end = isFull ? 'not_kept' : answer
    if (end === 'forget') {
      await this.#database.deleteFrom('idempotency').where('key_id', '=', keyId).where('key', '=', key).execute()
      return
    }
    const change = typeof end === 'string' ? { state: end } : { ...end, state: 'done' as const }
    await this.#database
      .updateTable('idempotency')
      .set(change)
      .where('key_id', '=', keyId)
      .where('key', '=', key)
      .execute()
  }
}

function storedAnswer({ state, status, body }: IdempotencyRow): Begun {
  if (state === 'done') return { kind: 'stored', status: status ?? 200, body: body ?? '' }
  const why =
    state === 'not_kept'
      ? 'The request with this Idempotency-Key ran, but its answer was not stored: it was too large, or the project has no room.'
      : 'The request with this Idempotency-Key was interrupted while it ran. It is not run again.'
  throw new ApiError('conflict', why, { details: { reason: state } })
}
