import { chmodSync, closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { type CompiledQuery, Kysely, sql, SqliteDialect, type Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import { SetupError } from '../errors.ts'
import { migrations } from './migrations.ts'
import type { Tables } from './tables.ts'

/** What a query runs on: the store, or a transaction of it. */
export type Queries = Kysely<Tables>

/** A transaction of the store: all of it is kept, or nothing. */
export type StoreTransaction = Transaction<Tables>

/** The store behind the services. SQLite has one writer; its transactions run one after another. */
export class Database extends Kysely<Tables> {
  readonly #reader: DatabaseSync
  readonly #version: StatementSync
  readonly #cache: Map<string, unknown>
  readonly #prepared = new WeakMap<CompiledQuery, StatementSync>()
  /** Asked once in a turn of the event loop. */
  #knownVersion: number | undefined

  /** @param reader a second connection to the same file: it sees what is kept, and nothing that is not yet. */
  constructor(sqlite: DatabaseSync, reader: DatabaseSync) {
    const cache = new Map<string, unknown>()
    super({ dialect: new SqliteDialect({ database: asKyselyDatabase(sqlite, () => cache.clear()) }) })
    this.#cache = cache
    this.#reader = reader
    this.#version = sqlite.prepare('PRAGMA data_version')
  }

  /** Another number as soon as another process has written. */
  dataVersion(): number {
    if (this.#knownVersion !== undefined) return this.#knownVersion
    setImmediate(() => (this.#knownVersion = undefined))
    return (this.#knownVersion = Number(this.#version.get()?.['data_version']))
  }

  /**
   * The first row of a query that is compiled once: for what is read with every request. Kysely's own way costs ten
   * times the query.
   */
  first<Row>(query: CompiledQuery<Row>, ...parameters: SQLInputValue[]): Row | undefined {
    let statement = this.#prepared.get(query)
    if (!statement) this.#prepared.set(query, (statement = this.#reader.prepare(query.sql)))
    return statement.get(...parameters) as Row | undefined // the query's own type, as Kysely would give it
  }

  /**
   * What a read gave, until anything is written: many ask for the same agent again and again. Only for reads by
   * {@link first}, which see no transaction that is under way; what is given must not be changed.
   */
  cached<Value>(key: string, read: () => Value): Value {
    const known = this.#cache.get(key)
    if (known !== undefined) return known as Value // whoever uses the key says what it is
    const value = read()
    if (this.#cache.size >= maxCached) this.#cache.clear()
    // Large ones are read anew: how many there are says nothing of their bytes.
    const chars = typeof value === 'string' ? value.length : JSON.stringify(value)?.length
    if (chars <= maxCachedChars) this.#cache.set(key, value)
    return value
  }

  override async destroy(): Promise<void> {
    this.#reader.close()
    await super.destroy()
  }
}

/** Of the SQLite file, in the data folder. */
export const databaseName = 'theazo.db'

/**
 * Opens the SQLite file, making it where there is none, and brings its tables up to date.
 *
 * @param path of the file; its folder must exist.
 * @param isTemporary nobody opens it again, so that nothing in it has to outlive a loss of power. Default false.
 */
export async function openDatabase(path: string, isTemporary = false): Promise<Database> {
  // Closed to others also in a folder that is open; SQLite gives the journal the same mode.
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
  const database = connect(path, isTemporary)
  try {
    await assertKnown(database, path)
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
    // WAL: readers go on while one writes. FULL: what was acknowledged survives a loss of power.
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

/** @throws {SetupError} where a newer version has changed the tables: this one would read them wrongly. */
async function assertKnown(database: Database, path: string): Promise<void> {
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

/** Where Kysely's migrator notes what it has done. */
const migrationTable = 'kysely_migration'

const maxCached = 10_000
const maxCachedChars = 16_384
/** Statements kept prepared. Queries are few and the same, lists with filters aside. */
const maxStatements = 500

/** Kysely knows better-sqlite3's interface; node:sqlite differs in how it takes parameters and tells readers. */
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
      // Also what begins and ends a transaction: its writes count when it is kept.
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
    prepare(asked) {
      // A transaction that reads first and writes later would fail at once where another process wrote in between:
      // SQLite does not wait then.
      const sql = asked === 'begin' ? 'begin immediate' : asked
      // Where the disk is full SQLite has rolled back by itself; a second time would be an error that hides the first.
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

/** True where the store cannot write now, and may later: its disk is full or fails, or another process writes. */
export function isPassing(error: unknown): boolean {
  const { errcode } = error as { errcode?: unknown } // of node:sqlite's errors: SQLite's extended result code
  return typeof errcode === 'number' && passingCodes.has(errcode & 0xff)
}

/** SQLITE_BUSY, SQLITE_IOERR, SQLITE_FULL. */
const passingCodes: ReadonlySet<number> = new Set([5, 10, 13])

/** Kysely types parameters as unknown; node:sqlite rejects at run time what is not a value of SQLite. */
function values(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters as SQLInputValue[]
}
