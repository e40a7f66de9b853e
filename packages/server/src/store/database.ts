import { chmodSync, closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Kysely, SqliteDialect, type Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from './migrations.ts'
import type { Tables } from './tables.ts'

/** What a query runs on: the store, or a transaction of it. */
export type Queries = Kysely<Tables>

/** A transaction of the store: all of it is kept, or nothing. */
export type StoreTransaction = Transaction<Tables>

/** The store behind the services. SQLite has one writer; its transactions run one after another. */
export class Database extends Kysely<Tables> {
  readonly #sqlite: DatabaseSync
  readonly #version: StatementSync

  constructor(sqlite: DatabaseSync) {
    super({ dialect: new SqliteDialect({ database: asKyselyDatabase(sqlite) }) })
    this.#sqlite = sqlite
    this.#version = sqlite.prepare('PRAGMA data_version')
  }

  /** Another number as soon as another process has written. */
  dataVersion(): number {
    return Number(this.#version.get()?.['data_version'])
  }

  /** False once closed. */
  get isOpen(): boolean {
    return this.#sqlite.isOpen
  }
}

/**
 * Opens the SQLite file, making it where there is none, and brings its tables up to date.
 *
 * @param path of the file; its folder must exist.
 */
export async function openDatabase(path: string): Promise<Database> {
  // Closed to others also in a folder that is open; SQLite gives the journal the same mode.
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
  const sqlite = new DatabaseSync(path)
  // WAL: readers go on while one writes. synchronous stays FULL: what was acknowledged survives a loss of power.
  sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON')
  const database = new Database(sqlite)
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error) {
    await database.destroy()
    throw error
  }
  return database
}

/** Statements kept prepared. Queries are few and the same, lists with filters aside. */
const maxStatements = 500

/** Kysely knows better-sqlite3's interface; node:sqlite differs in how it takes parameters and tells readers. */
function asKyselyDatabase(sqlite: DatabaseSync): ConstructorParameters<typeof SqliteDialect>[0]['database'] {
  const prepared = new Map<string, ReturnType<typeof prepare>>()
  const prepare = (sql: string) => {
    const statement = sqlite.prepare(sql)
    return {
      reader: statement.columns().length > 0,
      all: (parameters: readonly unknown[]) => statement.all(...values(parameters)),
      run: (parameters: readonly unknown[]) => statement.run(...values(parameters)),
      iterate: (parameters: readonly unknown[]) => statement.iterate(...values(parameters)),
    }
  }
  return {
    close: () => sqlite.close(),
    prepare(sql) {
      let statement = prepared.get(sql)
      if (!statement) {
        if (prepared.size >= maxStatements) prepared.clear()
        prepared.set(sql, (statement = prepare(sql)))
      }
      return statement
    },
  }
}

/** Kysely types parameters as unknown; node:sqlite rejects at run time what is not a value of SQLite. */
function values(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters as SQLInputValue[]
}
