import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { databaseName } from '../store/database.ts'
import type { Finding } from './finding.ts'

/** Idle agents in a data folder, whether a server uses it or not. Each is billed until it is terminated. */
export function agentFindings(dataDir: string | undefined): Finding[] {
  const path = dataDir === undefined ? undefined : join(dataDir, databaseName)
  if (path === undefined || !existsSync(path)) return []
  const name = 'idle agents'
  try {
    const [idle, withoutTimeout] = countIdle(path)
    if (withoutTimeout === 0) return [{ name, state: 'ok', says: `${idle}, each with an idleTimeout` }]
    const says = `${idle}, of which ${withoutTimeout} without an idleTimeout are billed until they are terminated`
    const fix = 'start serve with --idle-timeout SECONDS for new agents; terminate the existing ones'
    return [{ name, state: 'absent', says, fix }]
  } catch {
    return [
      {
        name,
        state: 'absent',
        says: `${path} cannot be read, or has another version`,
        fix: 'start serve with it once',
      },
    ]
  }
}

/** @returns the number of idle agents of live keys, and how many of them have no idleTimeout. */
function countIdle(path: string): [idle: number, withoutTimeout: number] {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    const row = database
      .prepare(
        `select count(*) as idle, count(*) - count(agents.idle_timeout) as without_timeout from agents
         join sessions on sessions.id = agents.session_id
         where agents.status = 'idle' and sessions.mode = 'live'`,
      )
      .get()
    return [Number(row?.['idle']), Number(row?.['without_timeout'])]
  } finally {
    database.close()
  }
}
