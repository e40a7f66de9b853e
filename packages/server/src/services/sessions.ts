import type { CreateSessionBody, SessionForUserBody, WireSession } from '@theazo/core'
import { ApiError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import type { Database } from '../store/database.ts'
import type { SessionRow } from '../store/tables.ts'

/** The rules of sessions. Each call sees only what belongs to the principal's project and mode. */
export class Sessions {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async create(principal: Principal, body: CreateSessionBody): Promise<WireSession> {
    const row = newRow(principal, body)
    await this.#database.insertInto('sessions').values(row).execute()
    return toWire(row)
  }

  /** The user's newest session that is not terminated, or a new one: one transaction, so that racing calls agree. */
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
      const row = newRow(principal, { ...body, userId })
      await transaction.insertInto('sessions').values(row).execute()
      return toWire(row)
    })
  }

  /** @throws {ApiError} 404. */
  async get(principal: Principal, id: string): Promise<WireSession> {
    const row = await this.#database
      .selectFrom('sessions')
      .selectAll()
      .where('id', '=', id)
      .where('project', '=', principal.project)
      .where('mode', '=', principal.mode)
      .executeTakeFirst()
    if (!row) throw new ApiError('not_found', `There is no session ${id}.`)
    return toWire(row)
  }
}

function newRow(principal: Principal, body: CreateSessionBody): SessionRow {
  const now = Date.now()
  return {
    id: newId('ses'),
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
    metadata: JSON.parse(row.metadata),
    createdAt: new Date(row.created_at).toISOString(),
    updatedAt: new Date(row.updated_at).toISOString(),
  }
}
