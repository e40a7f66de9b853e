import { chmodSync, closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { type CompiledQuery, Kysely, sql, SqliteDialect, type Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import { SetupError } from '../errors.ts'
import { migrations } from './migrations.ts'
import type { Tables } from './tables.ts'

/** Runs queries: the store, or a transaction. */
export type Queries = Kysely<Tables>

/** A transaction of the store. */
export type StoreTransaction = Transaction<Tables>

/** The store behind the services. SQLite has one writer; its transactions run one after another. */
export class Database extends Kysely<Tables> {
  readonly #reader: DatabaseSync
  readonly #version: StatementSync
  readonly #cache: Map<string, unknown>
  readonly #prepared = new WeakMap<CompiledQuery, StatementSync>()
  /** Read once in each turn of the event loop. */
  #knownVersion: number | undefined

  /** @param reader a second connection to the same file, which sees committed data only. */
  constructor(sqlite: DatabaseSync, reader: DatabaseSync) {
    const cache = new Map<string, unknown>()
    super({ dialect: new SqliteDialect({ database: asKyselyDatabase(sqlite, () => cache.clear()) }) })
    this.#cache = cache
    this.#reader = reader
    this.#version = sqlite.prepare('PRAGMA data_version')
  }

  /** A number that changes when another process has written. */
  dataVersion(): number {
    if (this.#knownVersion !== undefined) return this.#knownVersion
    setImmediate(() => (this.#knownVersion = undefined))
    return (this.#knownVersion = Number(this.#version.get()?.['data_version']))
  }

  /**
   * The first row of a compiled query, from committed data, synchronously. For reads of every request: Kysely's own
   * execution costs ten times as much as the query.
   */
  first<Row>(query: CompiledQuery<Row>, ...parameters: SQLInputValue[]): Row | undefined {
    let statement = this.#prepared.get(query)
    if (!statement) this.#prepared.set(query, (statement = this.#reader.prepare(query.sql)))
    return statement.get(...parameters) as Row | undefined // the type of the query, as in Kysely
  }

  /**
   * Caches the result of a read until the next write: clients poll the same agents. Only for reads with {@link first},
   * which see committed data. The result must not be changed.
   */
  cached<Value>(key: string, read: () => Value): Value {
    const known = this.#cache.get(key)
    if (known !== undefined) return known as Value // each key has one type
    const value = read()
    if (this.#cache.size >= maxCached) this.#cache.clear()
    // Large values are not cached: the limit on the number of entries does not bound their bytes.
    const chars = typeof value === 'string' ? value.length : JSON.stringify(value)?.length
    if (chars <= maxCachedChars) this.#cache.set(key, value)
    return value
  }

  override async destroy(): Promise<void> {
    this.#reader.close()
    await super.destroy()
  }
}

/** Name of the SQLite file in the data folder. */
export const databaseName = 'theazo.db'

/**
 * Opens the SQLite file, creates it if necessary, and migrates its tables.
 *
 * @param path of the file; its folder must exist.
 * @param isTemporary true if the file need not survive a loss of power. Default false.
 * @throws {SetupError} if a newer version or another program has written the file.
 */
export async function openDatabase(path: string, isTemporary = false): Promise<Database> {
  // Private even in a folder that others may enter; SQLite gives the journal the same mode.
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
  const database = connect(path, isTemporary)
  try {
    await assertKnownMigrations(database, path)
    const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } })
    const { error } = await migrator.migrateToLatest()
    if (error) throw error
    return database
  } catch (error) {
    await database.destroy()
    throw error
  }
}

function connect(path: string, isTemporary: boolean): Database {
  const opened: DatabaseSync[] = []
  try {
    const sqlite = new DatabaseSync(path)
    opened.push(sqlite)
    // WAL: readers continue during a write. FULL: acknowledged data survives a loss of power.
    const synchronous = isTemporary ? 'OFF' : 'FULL'
    sqlite.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`)
    sqlite.exec('PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON')
    const reader = new DatabaseSync(path, { timeout: 5000 })
    opened.push(reader)
    reader.exec('PRAGMA query_only = ON')
    return new Database(sqlite, reader)
  } catch (error) {
    for (const connection of opened) connection.close()
    throw error
  }
}

/** @throws {SetupError} if a newer version has changed the tables: this version would read them wrongly. */
async function assertKnownMigrations(database: Database, path: string): Promise<void> {
  const tables = await database.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some(({ name }) => name === migrationTable)) {
    if (tables.length === 0) return
    throw new SetupError(`${path} is a database of another program. Give another folder with --data-dir.`)
  }
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(migrationTable)} order by name`.execute(
    database,
  )
  const unknown = rows.find(({ name }) => !Object.hasOwn(migrations, name))
  if (!unknown) return
  throw new SetupError(
    `${path} was written by a newer version of theazo-server (its tables have ${unknown.name}). ` +
      'Start that version, or give another folder with --data-dir.',
  )
}

/** The table in which Kysely's migrator records its migrations. */
const migrationTable = 'kysely_migration'

const maxCached = 10_000
const maxCachedChars = 16_384
/** Maximum prepared statements in the cache. Queries are few and repeat, except lists with filters. */
const maxStatements = 500

/** Adapts node:sqlite to better-sqlite3's interface, which Kysely expects. */
function asKyselyDatabase(
  sqlite: DatabaseSync,
  onWrite: () => void,
): ConstructorParameters<typeof SqliteDialect>[0]['database'] {
  const prepared = new Map<string, ReturnType<typeof prepare>>()
  const prepare = (sql: string) => {
    const statement = sqlite.prepare(sql)
    return {
      reader: statement.columns().length > 0,
      all: (parameters: readonly unknown[]) => statement.all(...values(parameters)),
      // Also called for begin and commit: the writes of a transaction become visible with its commit.
      run(parameters: readonly unknown[]) {
        const result = statement.run(...values(parameters))
        onWrite()
        return result
      },
      iterate: (parameters: readonly unknown[]) => statement.iterate(...values(parameters)),
    }
  }
  return {
    close: () => sqlite.close(),
    prepare(requested) {
      // A deferred transaction that reads first and writes later would fail immediately if another process wrote between:
      // SQLite does not wait in that case.
      const sql = requested === 'begin' ? 'begin immediate' : requested
      // If the disk is full, SQLite has rolled back itself; a second rollback would fail and hide the first error.
      if (sql === 'rollback' && !sqlite.isTransaction) return nothing
      let statement = prepared.get(sql)
      if (!statement) {
        if (prepared.size >= maxStatements) prepared.clear()
        prepared.set(sql, (statement = prepare(sql)))
      }
      return statement
    },
  }
}

/** A statement that does nothing. */
const nothing = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [].values(),
}

/** True if a later try may succeed: the disk is full or fails, or another process writes. */
export function isTransient(error: unknown): boolean {
  const { errcode } = error as { errcode?: unknown } // of node:sqlite's errors: SQLite's extended result code
  return typeof errcode === 'number' && transientCodes.has(errcode & 0xff)
}

/** SQLITE_BUSY, SQLITE_IOERR, SQLITE_FULL. */
const transientCodes: ReadonlySet<number> = new Set([5, 10, 13])

/** Kysely types parameters as unknown; node:sqlite rejects invalid values at run time. */
function values(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters as SQLInputValue[]
}
