import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Forward only: what has landed is never edited, a change is a further entry. They run in the order of their names. */
export const migrations: Record<string, Migration> = {
  '0001_keys_sessions_agents': {
    async up(db) {
      await db.schema
        .createTable('api_keys')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('project', 'text', (column) => column.notNull())
        .addColumn('mode', 'text', (column) => column.notNull())
        .addColumn('plan', 'text', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull().unique())
        .addColumn('is_embedded', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('sessions')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('project', 'text', (column) => column.notNull())
        .addColumn('mode', 'text', (column) => column.notNull())
        .addColumn('user_id', 'text', (column) => column.notNull())
        .addColumn('status', 'text', (column) => column.notNull())
        .addColumn('limits', 'text', (column) => column.notNull())
        .addColumn('metadata', 'text', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addColumn('updated_at', 'integer', (column) => column.notNull())
        .execute()
      await db.schema
        .createIndex('sessions_by_user')
        .on('sessions')
        .columns(['project', 'mode', 'user_id', 'id'])
        .execute()
      await db.schema
        .createTable('agents')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('session_id', 'text', (column) => column.notNull().references('sessions.id'))
        .addColumn('status', 'text', (column) => column.notNull())
        .addColumn('reason', 'text')
        .addColumn('provider', 'text', (column) => column.notNull())
        .addColumn('instructions', 'text')
        .addColumn('tools', 'text', (column) => column.notNull())
        .addColumn('timeout_seconds', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addColumn('updated_at', 'integer', (column) => column.notNull())
        .execute()
      await db.schema.createIndex('agents_by_session').on('agents').columns(['session_id', 'id']).execute()
    },
  },
  '0002_lists_and_names': {
    async up(db) {
      await db.schema.createIndex('sessions_by_project').on('sessions').columns(['project', 'mode', 'id']).execute()
      await db.schema.alterTable('agents').addColumn('name', 'text').execute()
      await db.schema.alterTable('agents').addColumn('metadata', 'text').execute()
      await db.schema
        .createIndex('agents_by_name')
        .on('agents')
        .columns(['session_id', 'name'])
        .unique()
        .where(sql.ref('status'), 'not in', ['terminated', 'failed'])
        .execute()
    },
  },
}
