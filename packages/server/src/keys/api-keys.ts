import { createHash, randomBytes } from 'node:crypto'
import { newId } from '../ids.ts'
import type { Database } from '../store/database.ts'
import type { ApiKeyRow } from '../store/tables.ts'
import type { Plan } from './plan.ts'

/** Who makes a request: what the key stands for. Data of another project or mode does not exist for it. */
export interface Principal {
  keyId: string
  project: string
  mode: 'live' | 'test'
  plan: Plan
}

/** A new live key: 256 random bits. */
export function newLiveKey(): string {
  return `th_live_${randomBytes(32).toString('base64url')}`
}

/**
 * The keys this server accepts, found by their hash.
 *
 * A plain hash is enough: the keys are random, not chosen by people. Comparing hashes also leaks nothing by its time.
 */
export class ApiKeys {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async principalOf(key: string): Promise<Principal | undefined> {
    const row = await this.#database
      .selectFrom('api_keys')
      .select(['id', 'project', 'mode', 'plan'])
      .where('hash', '=', hashOf(key))
      .executeTakeFirst()
    return row && { keyId: row.id, project: row.project, mode: row.mode, plan: row.plan }
  }

  /** Makes this the embedded key, of project `local`; an earlier one is accepted no more. */
  async setEmbedded(key: string, plan: Plan): Promise<void> {
    const row: ApiKeyRow = {
      id: newId('key'),
      project: 'local',
      mode: 'live',
      plan,
      hash: hashOf(key),
      is_embedded: 1,
      created_at: Date.now(),
    }
    await this.#database.transaction().execute(async (transaction) => {
      await transaction.deleteFrom('api_keys').where('is_embedded', '=', 1).execute()
      await transaction.insertInto('api_keys').values(row).execute()
    })
  }
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}
