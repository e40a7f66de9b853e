import type { CompiledQuery } from 'kysely'
import type { CreateAgentBody, CreateAgentExtensions, Task, WireAgent } from '@theazo/core'
import { ApiError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import { toMoney } from '../pricing.ts'
import { Database, type Queries } from '../store/database.ts'
import type { AgentRow, Mode, SessionRow, TaskRow } from '../store/tables.ts'
import { shownMetadata, shownText } from './shown-texts.ts'

/** An agent with what the rules need of its session. */
export interface AgentRecord extends AgentRow {
  project: string
  mode: Mode
}

/** What a new agent is made from. */
export interface NewAgent {
  id?: string | undefined
  session: Pick<SessionRow, 'id'>
  keyId: string
  provider: string
  tools: readonly string[]
  body: CreateAgentBody & CreateAgentExtensions
  now: number
}

/** A new agent, which boots. */
export function newAgentRow({ id, session, keyId, provider, tools, body, now }: NewAgent): AgentRow {
  return {
    id: id ?? newId('agt'),
    session_id: session.id,
    key_id: keyId,
    name: body.name ?? null,
    metadata: body.metadata ? JSON.stringify(body.metadata) : null,
    status: 'booting',
    reason: null,
    provider,
    model_id: body.model?.id ?? null,
    browser: body.browser ? 1 : 0,
    instructions: body.instructions ?? null,
    tools: JSON.stringify(tools),
    timeout_seconds: body.timeout ?? 300,
    network: body.network ? JSON.stringify(body.network) : null,
    idle_timeout: body.idleTimeout ? JSON.stringify(body.idleTimeout) : null,
    task_id: null,
    event_count: 0,
    created_at: now,
    updated_at: now,
  }
}

/** @throws {ApiError} 404 where the principal has no such agent. */
export async function findAgent(db: Queries, principal: Principal, id: string): Promise<AgentRecord> {
  return own(await agentRecord(db, id), principal, id)
}

/** The same at once, by what is kept. @throws {ApiError} 404. */
export function readAgent(db: Database, principal: Principal, id: string): AgentRecord {
  return own(keptRecord(db, id), principal, id)
}

function own(agent: AgentRecord | undefined, { project, mode }: Principal, id: string): AgentRecord {
  if (!agent || agent.project !== project || agent.mode !== mode) {
    throw new ApiError('not_found', `There is no agent ${id}.`)
  }
  return agent
}

/** Whosever it is. */
export async function agentRecord(db: Queries, id: string): Promise<AgentRecord | undefined> {
  if (db instanceof Database) return keptRecord(db, id)
  const { rows } = await db.executeQuery<AgentRecord>({ ...byId(db), parameters: [id] })
  return rows[0]
}

function keptRecord(db: Database, id: string): AgentRecord | undefined {
  return db.cached(`record ${id}`, () => db.first(byId(db), id))
}

function byId(db: Queries): CompiledQuery<AgentRecord> {
  return (agentById ??= selectAgent(db).where('agents.id', '=', '').compile())
}

/** Compiled once: every request about an agent begins with it. */
let agentById: CompiledQuery<AgentRecord> | undefined
let taskById: CompiledQuery<TaskRow> | undefined

/** Agents with what the rules need of their sessions. */
export function selectAgent(db: Queries) {
  return db
    .selectFrom('agents')
    .innerJoin('sessions', 'sessions.id', 'agents.session_id')
    .selectAll('agents')
    .select(['sessions.project', 'sessions.mode'])
}

/** As the API tells it, with its latest task. */
export function toWireAgent(db: Database, row: AgentRow): WireAgent {
  return JSON.parse(wireAgentText(db, row)) as WireAgent // the text of one
}

/** The same as the text of its JSON, which is made once for all who ask. */
export function wireAgentText(db: Database, row: AgentRow): string {
  taskById ??= db.selectFrom('tasks').selectAll().where('id', '=', '').compile()
  const query = taskById
  // Both are read in one turn: a task that ends after the row was read would be told with an agent that still runs, and
  // be kept so until the next write.
  return db.cached(`wire ${row.id}`, () => {
    const now = db.first(byId(db), row.id) ?? row
    return JSON.stringify(wireAgent(now, now.task_id ? db.first(query, now.task_id) : undefined))
  })
}

/** As the API tells a page of them. */
export async function toWireAgents(db: Queries, rows: readonly AgentRow[]): Promise<WireAgent[]> {
  const ids = rows.flatMap(({ task_id: id }) => id ?? [])
  const tasks = ids.length > 0 ? await db.selectFrom('tasks').selectAll().where('id', 'in', ids).execute() : []
  return rows.map((row) =>
    wireAgent(
      row,
      tasks.find(({ id }) => id === row.task_id),
    ),
  )
}

function wireAgent(row: AgentRow, task: TaskRow | undefined): WireAgent {
  const [instructions, isCut] = row.instructions === null ? [null, false] : shownText(row.instructions)
  return {
    id: row.id,
    sessionId: row.session_id,
    ...(row.name !== null && { name: row.name }),
    ...(row.metadata !== null && shownMetadata(row.metadata)),
    status: row.status,
    ...(row.reason !== null && { reason: row.reason }),
    compute: { provider: row.provider },
    model: row.model_id === null ? null : { id: row.model_id },
    browser: row.browser === 1,
    instructions,
    ...(isCut && { instructionsTruncated: true }),
    tools: JSON.parse(row.tools),
    timeout: row.timeout_seconds,
    ...(row.network !== null && { network: JSON.parse(row.network) }),
    ...(row.idle_timeout !== null && { idleTimeout: JSON.parse(row.idle_timeout) }),
    task: task ? toWireTask(task) : null,
    createdAt: isoTime(row.created_at),
    updatedAt: isoTime(row.updated_at),
  }
}

/** As the API tells it. */
export function toWireTask(row: TaskRow): Task {
  const [prompt, isCut] = shownText(row.prompt)
  return {
    id: row.id,
    agentId: row.agent_id,
    status: row.status,
    prompt,
    ...(isCut && { promptTruncated: true }),
    ...(row.output !== null && { output: row.output }),
    ...(row.error !== null && { error: JSON.parse(row.error) }),
    cost: toMoney(row.cost),
    usage: { inputTokens: row.input_tokens, outputTokens: row.output_tokens },
    createdAt: isoTime(row.created_at),
    ...(row.started_at !== null && { startedAt: isoTime(row.started_at) }),
    ...(row.finished_at !== null && { finishedAt: isoTime(row.finished_at) }),
  }
}

/** ISO 8601, UTC. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
