import { hash, randomBytes } from 'node:crypto'
import type { CompiledQuery } from 'kysely'
import { ApiError, SetupError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Database } from '../store/database.ts'
import type { ApiKeyRow, Mode } from '../store/tables.ts'
import { type Plan, requestsPerMinute } from './plan.ts'
import { type Scope, scopes } from './scopes.ts'

/** The identity behind a key. Data of another project or mode does not exist for it. */
export interface Principal {
  keyId: string
  project: string
  mode: Mode
  plan: Plan
  /** Requests per minute. */
  rpm: number
  scopes: readonly Scope[]
}

/** Options of a new key. */
export interface CreateKeyOptions {
  /** A test key gets mocked answers and costs nothing. */
  mode: Mode
  plan: Plan
  /** Default: `default`, the project of the embedded key. */
  project?: string | undefined
  /** Requests per minute. Default: the plan's. */
  rpm?: number | undefined
  /** Default: all. */
  scopes?: readonly Scope[] | undefined
}

/** A key in a list, without its secret text. */
export interface KeyInfo extends Principal {
  isEmbedded: boolean
  createdAt: string
  revokedAt?: string
}

/** A new key: 256 random bits. */
export function newKey(mode: Mode): string {
  return `th_${mode}_${randomBytes(32).toString('base64url')}`
}

/**
 * The keys that this server accepts, stored as hashes.
 *
 * A plain hash is enough: keys are random, not chosen by people. The lookup compares hashes, whose bytes nobody can choose,
 * so its duration reveals nothing about a key.
 */
export class ApiKeys {
  readonly #database: Database
  /** Cache by hash; cleared when any process writes to the store. */
  readonly #known = new Map<string, Principal>()
  #version = -1
  readonly #byHash: CompiledQuery<ApiKeyRow>

  constructor(database: Database) {
    this.#database = database
    const active = database.selectFrom('api_keys').selectAll().where('revoked_at', 'is', null)
    this.#byHash = active.where('hash', '=', '').compile()
  }

  principalOf(key: string): Principal | undefined {
    // Another process (`theazo-server keys revoke`) may write the same file; SQLite reports that cheaply.
    const version = this.#database.dataVersion()
    if (version !== this.#version) this.#known.clear()
    this.#version = version
    const hashed = hashOf(key)
    const known = this.#known.get(hashed)
    if (known) return known
    const row = this.#database.first(this.#byHash, hashed)
    if (!row) return undefined
    const principal = principalFrom(row)
    this.#known.set(hashed, principal)
    return principal
  }

  /** Creates a key and returns it; it cannot be read again later. @throws {SetupError} for an invalid `rpm`. */
  async create(options: CreateKeyOptions): Promise<KeyInfo & { key: string }> {
    const { mode, rpm = 1 } = options
    if (!Number.isInteger(rpm) || rpm < 1) throw new SetupError(`rpm must be a whole number of at least 1, not ${rpm}`)
    const key = newKey(mode)
    const row = newRow(key, options)
    await this.#database.insertInto('api_keys').values(row).execute()
    return { key, ...toInfo(row) }
  }

  /** Lists all keys, newest first, including revoked keys. */
  async list(): Promise<KeyInfo[]> {
    const rows = await this.#database.selectFrom('api_keys').selectAll().orderBy('id', 'desc').execute()
    return rows.map(toInfo)
  }

  /** Revokes a key, effective immediately. May be repeated. @throws {SetupError} for an unknown or the embedded key. */
  async revoke(id: string): Promise<void> {
    const row = await this.#database.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst()
    if (!row) throw new SetupError(`There is no key ${id}; "keys list" shows all keys.`)
    if (row.is_embedded) {
      throw new SetupError(`${id} is the embedded key. Delete the file api-key of the data folder and restart instead.`)
    }
    await this.#database
      .updateTable('api_keys')
      .set({ revoked_at: Date.now() })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .execute()
    this.#known.clear()
  }

  /** True if there is a valid key besides the embedded one. */
  async hasOwn(): Promise<boolean> {
    return (await this.list()).some(({ isEmbedded, revokedAt }) => !isEmbedded && revokedAt === undefined)
  }

  /** @throws {ApiError} 404 if the key does not belong to the principal's project and mode. */
  async assertOwn({ project, mode }: Principal, id: string): Promise<void> {
    const row = await this.#database
      .selectFrom('api_keys')
      .select('id')
      .where('id', '=', id)
      .where('project', '=', project)
      .where('mode', '=', mode)
      .executeTakeFirst()
    if (!row) throw new ApiError('not_found', `There is no key ${id}.`)
  }

  /**
   * Sets the embedded key. Its id stays, so that earlier usage still belongs to it; an earlier text is no longer accepted.
   */
  async setEmbedded(key: string, plan: Plan): Promise<void> {
    const changed = await this.#database
      .updateTable('api_keys')
      .set({ hash: hashOf(key), plan })
      .where('is_embedded', '=', 1)
      .executeTakeFirst()
    if (changed.numUpdatedRows > 0n) return
    const row: ApiKeyRow = { ...newRow(key, { mode: 'live', plan }), is_embedded: 1 }
    await this.#database.insertInto('api_keys').values(row).execute()
  }
}

function hashOf(key: string): string {
  return hash('sha256', key, 'hex')
}

function newRow(key: string, options: CreateKeyOptions): ApiKeyRow {
  return {
    id: newId('key'),
    project: options.project ?? 'default',
    mode: options.mode,
    plan: options.plan,
    rpm: options.rpm ?? null,
    scopes: (options.scopes ?? scopes).join(','),
    hash: hashOf(key),
    is_embedded: 0,
    created_at: Date.now(),
    revoked_at: null,
  }
}

function principalFrom(row: ApiKeyRow): Principal {
  return {
    keyId: row.id,
    project: row.project,
    mode: row.mode,
    plan: row.plan,
    rpm: row.rpm ?? requestsPerMinute[row.plan],
    scopes: scopes.filter((scope) => row.scopes.split(',').includes(scope)),
  }
}

function toInfo(row: ApiKeyRow): KeyInfo {
  return {
    ...principalFrom(row),
    isEmbedded: row.is_embedded === 1,
    createdAt: new Date(row.created_at).toISOString(),
    ...(row.revoked_at !== null && { revokedAt: new Date(row.revoked_at).toISOString() }),
  }
}
