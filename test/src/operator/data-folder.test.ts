// The message for a data folder that the program cannot use: one line, with the fix, without a stack trace.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root } from '../support/server-process.ts'

const bin = join(root, 'packages/server/dist/bin.js')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-folder-'))
  chmodSync(folder, 0o755) // a plain user can reach its files
})
afterEach(() => rmSync(folder, { recursive: true }))

type User = { uid: number; gid: number }

function run(args: readonly string[], user?: User) {
  const env = { PATH: process.env['PATH'], TMPDIR: '/tmp' }
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
    killSignal: 'SIGKILL',
    env,
    ...user,
  })
  return { status, stdout, stderr }
}

/** Checks the message of each command that opens the folder. */
function expectRefusal(path: string, says: RegExp, user?: User): void {
  for (const command of [
    ['serve', '--port', '0'],
    ['keys', 'create', '--test', '--plan', 'team'],
  ]) {
    const { status, stdout, stderr } = run([...command, '--data-dir', path], user)
    expect([command[0], status, stdout]).toEqual([command[0], 1, ''])
    expect(stderr).toMatch(says)
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(/^theazo-server: .*--data-dir\.$/)])
  }
}

/** A valid data folder, and its database. */
function usedFolder(): { path: string; database: string } {
  const path = join(folder, 'used')
  expect(run(['keys', 'create', '--test', '--plan', 'team', '--data-dir', path]).status).toBe(0)
  return { path, database: join(path, 'theazo.db') }
}

describe('a database is refused if it', () => {
  test('is not a database', () => {
    writeFileSync(join(folder, 'theazo.db'), 'not a database, '.repeat(1000))
    expectRefusal(folder, /theazo\.db cannot be used: .*restore it from a backup/)
  })

  test('has damaged pages', () => {
    const { path, database } = usedFolder()
    writeFileSync(database, Buffer.alloc(40_000, 'A'), { flag: 'r+' })
    expectRefusal(path, /theazo\.db cannot be used: .*restore it from a backup/)
  })

  test('is truncated', () => {
    const { path, database } = usedFolder()
    truncateSync(database, 9000)
    expectRefusal(path, /theazo\.db cannot be used: .*restore it from a backup/)
  })

  test('has a newer version; it does not change', () => {
    const { path, database } = usedFolder()
    const sqlite = new DatabaseSync(database)
    sqlite.exec("INSERT INTO kysely_migration VALUES ('9999_of_the_future', '2030-01-01')")
    expectRefusal(path, /was written by a newer version of theazo-server \(its tables have 9999_of_the_future\)/)
    sqlite.exec("DELETE FROM kysely_migration WHERE name = '9999_of_the_future'")
    sqlite.close()
    expect(run(['keys', 'list', '--data-dir', path]).status).toBe(0)
  })

  test('belongs to another program', () => {
    const sqlite = new DatabaseSync(join(folder, 'theazo.db'))
    sqlite.exec('CREATE TABLE sessions (cookie TEXT)')
    sqlite.close()
    expectRefusal(folder, /theazo\.db is a database of another program/)
  })

  test('is a folder', () => {
    mkdirSync(join(folder, 'theazo.db'))
    expectRefusal(folder, /The data folder cannot be used: EISDIR/)
  })
})

describe('a data folder is refused if it', () => {
  test('is a file, or below a file', () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expectRefusal(file, /The data folder cannot be used: EEXIST/)
    expectRefusal(join(file, 'in'), /The data folder cannot be used: ENOTDIR/)
  })

  test('cannot be created, also on a path on which a recursive mkdir never ends', () => {
    expectRefusal('/proc/theazo/data', /The data folder cannot be used: ENOENT/)
  })

  test.runIf(process.getuid?.() === 0)('is not writable for the user', () => {
    const user = { uid: 61_235, gid: 61_235 }
    const own = join(folder, 'own')
    mkdirSync(own, { mode: 0o755 })
    expectRefusal(own, /cannot be used: .*Let the server's user write/, user)
    expectRefusal(join(own, 'new'), /cannot be used: EACCES.*Let the server's user write/, user)
  })
})

test('other damaged files of a data folder are refused', () => {
  for (const name of ['api-key', 'lock', 'instance-id']) {
    const path = join(folder, name)
    mkdirSync(join(path, name), { recursive: true })
    if (name === 'instance-id' && process.getuid?.() !== 0) continue // a plain user's folder has no such file
    const { status, stderr } = run(['serve', '--port', '0', '--data-dir', path])
    expect([name, status]).toEqual([name, 1])
    expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(/^theazo-server: .*cannot be used: .*\.$/)])
  }
})
