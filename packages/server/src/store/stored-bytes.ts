import { type Kysely, sql } from 'kysely'

/** Approximate bytes of a row in addition to its texts: numbers, ids and indexes. */
const rowBytes = 200

/** For each table: the text columns that callers fill, and SQL for the project of a row (in a trigger `new` or `old`). */
const counted: Record<string, { texts: readonly string[]; project: (row: string) => string }> = {
  sessions: { texts: ['user_id', 'limits', 'metadata'], project: (row) => `${row}.project` },
  agents: {
    texts: ['name', 'metadata', 'reason', 'model_id', 'instructions', 'tools', 'network', 'idle_timeout'],
    project: (row) => `(select project from sessions where id = ${row}.session_id)`,
  },
  tasks: { texts: ['prompt', 'output', 'error'], project: (row) => projectOfAgent(`${row}.agent_id`) },
  task_steps: {
    texts: ['step'],
    project: (row) => projectOfAgent(`(select agent_id from tasks where id = ${row}.task_id)`),
  },
  events: { texts: ['data'], project: (row) => projectOfAgent(`${row}.agent_id`) },
  idempotency: {
    texts: ['key', 'body'],
    project: (row) => `(select project from api_keys where id = ${row}.key_id)`,
  },
}

function projectOfAgent(agentId: string): string {
  return `(select project from sessions where id = (select session_id from agents where id = ${agentId}))`
}

function sizeOf(row: string, texts: readonly string[]): string {
  return [`${rowBytes}`, ...texts.map((text) => `coalesce(octet_length(${row}.${text}), 0)`)].join(' + ')
}

function adding(bytes: string, owner: string): string {
  return `insert into project_store (project, bytes) select ${owner}, ${bytes} where ${owner} is not null
          on conflict (project) do update set bytes = bytes + excluded.bytes`
}

/**
 * Creates the table with each project's stored bytes, and triggers that update it: the count is part of every transaction
 * that writes or deletes rows, and needs no scan at the start.
 */
export async function countStoredBytes(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('project_store')
    .addColumn('project', 'text', (column) => column.primaryKey())
    .addColumn('bytes', 'integer', (column) => column.notNull())
    .execute()
  for (const [table, { texts, project }] of Object.entries(counted)) {
    const changed = `(${sizeOf('new', texts)}) - (${sizeOf('old', texts)})`
    const triggers = [
      `insert on ${table} begin ${adding(sizeOf('new', texts), project('new'))}; end`,
      `delete on ${table} begin ${adding(`-(${sizeOf('old', texts)})`, project('old'))}; end`,
      `update of ${texts.join(', ')} on ${table} begin ${adding(changed, project('new'))}; end`,
    ]
    for (const trigger of triggers) {
      const event = trigger.slice(0, trigger.indexOf(' '))
      await sql.raw(`create trigger stored_${table}_${event} after ${trigger}`).execute(db)
    }
    // Count the existing rows.
    await sql
      .raw(
        `insert into project_store (project, bytes)
         select owner, sum(size) from (select ${project('old')} as owner, ${sizeOf('old', texts)} as size from ${table} as old)
         where owner is not null group by owner
         on conflict (project) do update set bytes = bytes + excluded.bytes`,
      )
      .execute(db)
  }
}
