import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { databaseName } from '../store/database.ts'
import type { Finding } from './finding.ts'

/** Idle agents in a data folder, whether or not a server runs on it: each is billed until something ends it. */
export function agentFindings(dataDir: string | undefined): Finding[] {
  const path = dataDir === undefined ? undefined : join(dataDir, databaseName)
  if (path === undefined || !existsSync(path)) return []
  const name = 'idle agents'
  try {
    const [idle, forgettable] = countIdle(path)
    if (forgettable === 0) return [{ name, state: 'ok', says: `${idle}, each with an idleTimeout` }]
    const says = `${idle}, of which ${forgettable} without an idleTimeout are billed until they are terminated`
    return [{ name, state: 'absent', says, fix: 'serve --idle-timeout SECONDS for new ones; terminate the old ones' }]
  } catch {
    return [
      { name, state: 'absent', says: `${path} cannot be read, or is of another version`, fix: 'start serve on it' },
    ]
  }
}

/** @returns the idle agents of live keys, and those of them without an idleTimeout. */
function countIdle(path: string): [idle: number, forgettable: number] {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    const row = database
      .prepare(
        `select count(*) as idle, count(*) - count(agents.idle_timeout) as forgettable from agents
         join sessions on sessions.id = agents.session_id
         where agents.status = 'idle' and sessions.mode = 'live'`,
      )
      .get()
    return [Number(row?.['idle']), Number(row?.['forgettable'])]
  } finally {
    database.close()
  }
}
