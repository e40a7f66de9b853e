import { ApiError } from '../errors.ts'
import type { Database, Queries } from '../store/database.ts'

/** Projects that `/metrics` names: those with the most bytes. */
const maxShown = 20

/** What a project may store of sessions, agents, tasks, events and kept answers: the disk belongs to all projects. */
export class ProjectStore {
  readonly #maxBytes: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Before new content is stored. @throws {ApiError} 409 if the project has stored as much as it may. */
  async assertRoom(db: Queries, project: string): Promise<void> {
    const storedBytes = await storedBytesOf(db, project)
    if (storedBytes < this.#maxBytes) return
    const details = { reason: 'store_full', storedBytes, maxStoredBytes: this.#maxBytes }
    const message =
      `The project has stored ${mebibytes(storedBytes)}, and this server keeps ${mebibytes(this.#maxBytes)} for each: ` +
      'remove metadata of sessions, wait until events expire, or ask the operator for more (serve --project-mib).'
    throw new ApiError('conflict', message, { details })
  }

  /** True if answers of the project are no longer kept. */
  async isFull(db: Queries, project: string): Promise<boolean> {
    return (await storedBytesOf(db, project)) >= this.#maxBytes
  }
}

/** Bytes of the projects that store most, largest first. */
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
