import type { CreateSessionBody, Page, SessionForUserBody, UpdateSessionBody, WireSession } from '@theazo/core'
import type { Clock } from '../clock.ts'
import { sql } from 'kysely'
import { ApiError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { SessionLimits } from '../limits/session-limits.ts'
import { maxMetadataBytes } from '../schemas.ts'
import type { Database, Queries } from '../store/database.ts'
import type { SessionRow } from '../store/tables.ts'
import { idBefore, type PageQuery, readPage } from './pages.ts'
import type { ProjectStore } from './project-store.ts'
import { shownMetadata } from './shown-texts.ts'

/** Filter and page of a list of sessions. */
export interface SessionsQuery extends PageQuery {
  userId?: string | undefined
  status?: WireSession['status'] | undefined
}

/** Characters of a row in fields that callers fill. */
const storedSize = sql<number>`length(metadata) + length(limits)`

/** The rules of sessions. Each call sees only what belongs to the principal's project and mode. */
export class Sessions {
  readonly #database: Database
  readonly #limits: SessionLimits
  readonly #store: ProjectStore
  readonly #clock: Clock

  constructor(database: Database, limits: SessionLimits, store: ProjectStore, clock: Clock) {
    this.#database = database
    this.#store = store
    this.#limits = limits
    this.#clock = clock
  }

  /**
   * Creates a session.
   *
   * @param id a reserved id for the new session; if a session with this id exists, it is returned.
   * @throws {ApiError} 409 if the project has reached its storage limit.
   */
  async create(principal: Principal, body: CreateSessionBody, id = newId('ses')): Promise<WireSession> {
    const row = newRow(principal, body, id, this.#clock.now())
    await this.#store.assertRoom(this.#database, principal.project)
    await this.#database
      .insertInto('sessions')
      .values(row)
      .onConflict((conflict) => conflict.column('id').doNothing())
      .execute()
    return await this.get(principal, id) // an existing session has other times, and may have changed
  }

  /** The user's newest session that is not terminated, or a new one. One transaction, so that concurrent calls agree. */
  async forUser(principal: Principal, userId: string, body: SessionForUserBody): Promise<WireSession> {
    return await this.#database.transaction().execute(async (transaction) => {
      const found = await transaction
        .selectFrom('sessions')
        .selectAll()
        .where('project', '=', principal.project)
        .where('mode', '=', principal.mode)
        .where('user_id', '=', userId)
        .where('status', '!=', 'terminated')
        .orderBy('id', 'desc')
        .executeTakeFirst()
      if (found) return toWire(found)
      await this.#store.assertRoom(transaction, principal.project)
      const row = newRow(principal, { ...body, userId }, newId('ses'), this.#clock.now())
      await transaction.insertInto('sessions').values(row).execute()
      return toWire(row)
    })
  }

  /** Lists sessions, newest first. */
  async list(principal: Principal, query: SessionsQuery): Promise<Page<WireSession>> {
    const { userId, status, limit } = query
    const found = await this.#database
      .selectFrom('sessions')
      .select(['id', storedSize.as('size')])
      .where('project', '=', principal.project)
      .where('mode', '=', principal.mode)
      .where('id', '<', idBefore('ses', query))
      .$if(userId !== undefined, (select) => select.where('user_id', '=', userId ?? ''))
      .$if(status !== undefined, (select) => select.where('status', '=', status ?? 'active'))
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute()
    return await readPage(found, limit, async (ids) => {
      const wanted = this.#database.selectFrom('sessions').selectAll().where('id', 'in', ids)
      return (await wanted.orderBy('id', 'desc').execute()).map(toWire)
    })
  }

  /**
   * Merges limits and metadata into the stored ones; null removes.
   *
   * @throws {ApiError} 404; 409 for a terminated session, or if the project has reached its storage limit; 422 for
   *   metadata that would be too large.
   */
  async update(principal: Principal, id: string, { limits, metadata }: UpdateSessionBody): Promise<WireSession> {
    await this.#database.transaction().execute(async (transaction) => {
      const session = await findSession(transaction, principal, id)
      if (session.status === 'terminated')
        throw new ApiError('conflict', `Session ${id} is terminated. Create another session.`)
      const newMetadata = JSON.stringify(merged(JSON.parse(session.metadata), metadata))
      if (metadata && Buffer.byteLength(newMetadata) > maxMetadataBytes) {
        throw ApiError.invalid({
          metadata: ['would be more than 64 KiB of JSON after the merge; remove some with null'],
        })
      }
      const newLimits = JSON.stringify(merged(JSON.parse(session.limits), limits))
      if (newMetadata.length + newLimits.length > session.metadata.length + session.limits.length) {
        await this.#store.assertRoom(transaction, principal.project)
      }
      const changed = {
        limits: newLimits,
        metadata: newMetadata,
        updated_at: this.#clock.now(),
      }
      await transaction.updateTable('sessions').set(changed).where('id', '=', id).execute()
    })
    await this.#limits.enforceCaps(id)
    return await this.get(principal, id)
  }

  /** @throws {ApiError} 404. */
  async get(principal: Principal, id: string): Promise<WireSession> {
    return toWire(await findSession(this.#database, principal, id))
  }
}

/** @throws {ApiError} 404 if the principal has no such session. */
export async function findSession(database: Queries, principal: Principal, id: string): Promise<SessionRow> {
  const row = await database
    .selectFrom('sessions')
    .selectAll()
    .where('id', '=', id)
    .where('project', '=', principal.project)
    .where('mode', '=', principal.mode)
    .executeTakeFirst()
  if (!row) throw new ApiError('not_found', `There is no session ${id}.`)
  return row
}

/** Merges a change. `undefined` changes nothing; null removes an entry, or all entries. */
function merged(value: object, change: object | null | undefined): object {
  if (change === null) return {}
  return Object.fromEntries(Object.entries({ ...value, ...change }).filter(([, entry]) => entry !== null))
}

function newRow(principal: Principal, body: CreateSessionBody, id: string, now: number): SessionRow {
  return {
    id,
    project: principal.project,
    mode: principal.mode,
    user_id: body.userId,
    status: 'active',
    limits: JSON.stringify(body.limits ?? {}),
    metadata: JSON.stringify(body.metadata ?? {}),
    created_at: now,
    updated_at: now,
  }
}

function toWire(row: SessionRow): WireSession {
  return {
    id: row.id,
    userId: row.user_id,
    status: row.status,
    limits: JSON.parse(row.limits),
    ...shownMetadata(row.metadata),
    createdAt: new Date(row.created_at).toISOString(),
    updatedAt: new Date(row.updated_at).toISOString(),
  }
}
