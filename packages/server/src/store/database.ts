import { chmodSync, closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from './migrations.ts'
import type { Tables } from './tables.ts'

/** The store behind the services. */
export type Database = Kysely<Tables>

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
  const database = new Kysely<Tables>({ dialect: new SqliteDialect({ database: asKyselyDatabase(sqlite) }) })
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error) {
    await database.destroy()
    throw error
  }
  return database
}

/** Kysely knows better-sqlite3's interface; node:sqlite differs in how it takes parameters and tells readers. */
function asKyselyDatabase(sqlite: DatabaseSync): ConstructorParameters<typeof SqliteDialect>[0]['database'] {
  return {
    close: () => sqlite.close(),
    prepare(sql) {
      const statement = sqlite.prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...values(parameters)),
        run: (parameters) => statement.run(...values(parameters)),
        iterate: (parameters) => statement.iterate(...values(parameters)),
      }
    },
  }
}

/** Kysely types parameters as unknown; node:sqlite rejects at run time what is not a value of SQLite. */
function values(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters as SQLInputValue[]
}
