import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { countStoredBytes } from './stored-bytes.ts'

/** Migrations, in the order of their names. Never edit a released entry: add a new one. There is no way back. */
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
  '0003_keys_tasks_events_usage': {
    async up(db) {
      await db.schema.alterTable('api_keys').addColumn('rpm', 'integer').execute()
      await db.schema
        .alterTable('api_keys')
        .addColumn('scopes', 'text', (column) => column.notNull().defaultTo('read,exec,admin'))
        .execute()
      await db.schema.alterTable('api_keys').addColumn('revoked_at', 'integer').execute()
      // The embedded key had a separate project; new keys share its data unless they name another project.
      await sql`update api_keys set project = 'default' where project = 'local'`.execute(db)
      await sql`update sessions set project = 'default' where project = 'local'`.execute(db)

      await db.schema.alterTable('agents').addColumn('key_id', 'text').execute()
      await db.schema.alterTable('agents').addColumn('model_id', 'text').execute()
      await db.schema
        .alterTable('agents')
        .addColumn('browser', 'integer', (column) => column.notNull().defaultTo(0))
        .execute()
      await db.schema.alterTable('agents').addColumn('task_id', 'text').execute()
      await db.schema
        .alterTable('agents')
        .addColumn('event_count', 'integer', (column) => column.notNull().defaultTo(0))
        .execute()
      await sql`update agents set key_id = coalesce((select id from api_keys where is_embedded = 1), '')`.execute(db)

      await db.schema
        .createTable('tasks')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('agent_id', 'text', (column) => column.notNull().references('agents.id'))
        .addColumn('key_id', 'text', (column) => column.notNull())
        .addColumn('status', 'text', (column) => column.notNull())
        .addColumn('prompt', 'text', (column) => column.notNull())
        .addColumn('output', 'text')
        .addColumn('error', 'text')
        .addColumn('cost', 'integer', (column) => column.notNull())
        .addColumn('input_tokens', 'integer', (column) => column.notNull())
        .addColumn('output_tokens', 'integer', (column) => column.notNull())
        .addColumn('run_ms', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addColumn('started_at', 'integer')
        .addColumn('finished_at', 'integer')
        .execute()
      await db.schema.createIndex('tasks_by_agent').on('tasks').columns(['agent_id', 'id']).execute()
      await db.schema
        .createTable('task_steps')
        .addColumn('task_id', 'text', (column) => column.notNull().references('tasks.id'))
        .addColumn('number', 'integer', (column) => column.notNull())
        .addColumn('step', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('task_steps_key', ['task_id', 'number'])
        .execute()
      await db.schema
        .createTable('events')
        .addColumn('agent_id', 'text', (column) => column.notNull().references('agents.id'))
        .addColumn('number', 'integer', (column) => column.notNull())
        .addColumn('type', 'text', (column) => column.notNull())
        .addColumn('data', 'text', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('events_key', ['agent_id', 'number'])
        .execute()
      await db.schema.createIndex('events_by_time').on('events').column('created_at').execute()

      for (const table of ['compute_usage', 'storage_usage'] as const) {
        await db.schema
          .createTable(table)
          .addColumn('id', 'text', (column) => column.primaryKey())
          .addColumn('agent_id', 'text', (column) => column.notNull().references('agents.id'))
          .addColumn('session_id', 'text', (column) => column.notNull())
          .addColumn('key_id', 'text', (column) => column.notNull())
          .addColumn('project', 'text', (column) => column.notNull())
          .addColumn('started_at', 'integer', (column) => column.notNull())
          .addColumn('seen_at', 'integer', (column) => column.notNull())
          .addColumn('ended_at', 'integer')
          .execute()
        await db.schema.createIndex(`${table}_by_session`).on(table).columns(['session_id', 'started_at']).execute()
        await db.schema.createIndex(`${table}_by_project`).on(table).columns(['project', 'started_at']).execute()
        // At most one interval per agent is open.
        await db.schema
          .createIndex(`${table}_open`)
          .on(table)
          .column('agent_id')
          .unique()
          .where(sql.ref('ended_at'), 'is', null)
          .execute()
      }
      await db.schema
        .alterTable('storage_usage')
        .addColumn('size_bytes', 'integer', (column) => column.notNull().defaultTo(0))
        .execute()
      await db.schema
        .createTable('model_usage')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('task_id', 'text', (column) => column.notNull().references('tasks.id'))
        .addColumn('session_id', 'text', (column) => column.notNull())
        .addColumn('key_id', 'text', (column) => column.notNull())
        .addColumn('project', 'text', (column) => column.notNull())
        .addColumn('at', 'integer', (column) => column.notNull())
        .addColumn('input_tokens', 'integer', (column) => column.notNull())
        .addColumn('output_tokens', 'integer', (column) => column.notNull())
        .addColumn('cost', 'integer', (column) => column.notNull())
        .execute()
      await db.schema.createIndex('model_usage_by_session').on('model_usage').columns(['session_id', 'at']).execute()
      await db.schema.createIndex('model_usage_by_project').on('model_usage').columns(['project', 'at']).execute()

      await db.schema
        .createTable('idempotency')
        .addColumn('key_id', 'text', (column) => column.notNull())
        .addColumn('key', 'text', (column) => column.notNull())
        .addColumn('request', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('reserved', 'text', (column) => column.notNull())
        .addColumn('status', 'integer')
        .addColumn('body', 'text')
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('idempotency_key', ['key_id', 'key'])
        .execute()
      await db.schema.createIndex('idempotency_by_time').on('idempotency').column('created_at').execute()
    },
  },
  '0004_agent_network': {
    async up(db) {
      await db.schema.alterTable('agents').addColumn('network', 'text').execute()
    },
  },
  '0005_agent_idle_timeout': {
    async up(db) {
      await db.schema.alterTable('agents').addColumn('idle_timeout', 'text').execute()
    },
  },
  '0006_stored_bytes': { up: countStoredBytes },
  '0007_conversations_and_approvals': {
    async up(db) {
      await db.schema.alterTable('agents').addColumn('approvals', 'text').execute()
      await db.schema.alterTable('tasks').addColumn('pending_call', 'text').execute()
      for (const column of ['is_fresh', 'is_suspended']) {
        await db.schema
          .alterTable('tasks')
          .addColumn(column, 'integer', (built) => built.notNull().defaultTo(0))
          .execute()
      }
    },
  },
}
