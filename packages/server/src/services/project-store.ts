import { ApiError } from '../errors.ts'
import type { Database, Queries } from '../store/database.ts'

/** Number of projects in `/metrics`: those with the most bytes. */
const maxShown = 20

/** Limits the bytes that a project may store: sessions, agents, tasks, events and answers for idempotency. */
export class ProjectStore {
  readonly #maxBytes: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Call this before you store new content. @throws {ApiError} 409 if the project has reached its limit. */
  async assertRoom(db: Queries, project: string): Promise<void> {
    const storedBytes = await storedBytesOf(db, project)
    if (storedBytes < this.#maxBytes) return
    const details = { reason: 'store_full', storedBytes, maxStoredBytes: this.#maxBytes }
    const message =
      `The project stores ${mebibytes(storedBytes)}; the limit of this server is ${mebibytes(this.#maxBytes)} per project. ` +
      'Remove metadata of sessions, wait until events expire, or ask the operator for more (serve --project-mib).'
    throw new ApiError('conflict', message, { details })
  }

  /** True if answers of the project are no longer stored for idempotency. */
  async isFull(db: Queries, project: string): Promise<boolean> {
    return (await storedBytesOf(db, project)) >= this.#maxBytes
  }
}

/** The projects that store the most bytes, largest first. */
export async function largestProjects(db: Database): Promise<{ project: string; bytes: number }[]> {
  return await db.selectFrom('project_store').selectAll().orderBy('bytes', 'desc').limit(maxShown).execute()
}

async function storedBytesOf(db: Queries, project: string): Promise<number> {
  const query = db.selectFrom('project_store').select('bytes').where('project', '=', project)
  return (await query.executeTakeFirst())?.bytes ?? 0
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1024 / 1024)} MiB`
}
