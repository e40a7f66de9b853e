import type { CompiledQuery } from 'kysely'
import type { CreateAgentBody, CreateAgentExtensions, Task, WireAgent } from '@theazo/core'
import { ApiError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Principal } from '../keys/api-keys.ts'
import { toMoney } from '../pricing.ts'
import { Database, type Queries } from '../store/database.ts'
import type { AgentRow, Mode, SessionRow, TaskRow } from '../store/tables.ts'
import { shownMetadata, shownText } from './shown-texts.ts'

/** An agent's row, with the project and mode of its session. */
export interface AgentRecord extends AgentRow {
  project: string
  mode: Mode
}

/** The input for a new agent's row. */
export interface NewAgent {
  id?: string | undefined
  session: Pick<SessionRow, 'id'>
  keyId: string
  provider: string
  tools: readonly string[]
  body: CreateAgentBody & CreateAgentExtensions
  now: number
}

/** The row of a new agent, in status `booting`. */
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
    approvals: body.approvals ? JSON.stringify(body.approvals) : null,
    timeout_seconds: body.timeout ?? 300,
    network: body.network ? JSON.stringify(body.network) : null,
    idle_timeout: body.idleTimeout ? JSON.stringify(body.idleTimeout) : null,
    task_id: null,
    event_count: 0,
    created_at: now,
    updated_at: now,
  }
}

/** @throws {ApiError} 404 if the principal has no such agent. */
export async function findAgent(db: Queries, principal: Principal, id: string): Promise<AgentRecord> {
  return assertOwn(await agentRecord(db, id), principal, id)
}

/** The synchronous form of {@link findAgent}; it reads committed data only. @throws {ApiError} 404. */
export function readAgent(db: Database, principal: Principal, id: string): AgentRecord {
  return assertOwn(committedAgent(db, id), principal, id)
}

function assertOwn(agent: AgentRecord | undefined, { project, mode }: Principal, id: string): AgentRecord {
  if (!agent || agent.project !== project || agent.mode !== mode) {
    throw new ApiError('not_found', `Agent ${id} does not exist.`)
  }
  return agent
}

/** An agent of any project. */
export async function agentRecord(db: Queries, id: string): Promise<AgentRecord | undefined> {
  if (db instanceof Database) return committedAgent(db, id)
  const { rows } = await db.executeQuery<AgentRecord>({ ...byId(db), parameters: [id] })
  return rows[0]
}

/** The synchronous form of {@link agentRecord}; it reads committed data only. */
export function committedAgent(db: Database, id: string): AgentRecord | undefined {
  return db.cached(`record ${id}`, () => db.first(byId(db), id))
}

/** A task, read synchronously from committed data. */
export function committedTask(db: Database, id: string): TaskRow | undefined {
  taskById ??= db.selectFrom('tasks').selectAll().where('id', '=', '').compile()
  return db.first(taskById, id)
}

function byId(db: Queries): CompiledQuery<AgentRecord> {
  return (agentById ??= selectAgent(db).where('agents.id', '=', '').compile())
}

/** Compiled once: every request for an agent uses it. */
let agentById: CompiledQuery<AgentRecord> | undefined
let taskById: CompiledQuery<TaskRow> | undefined

/** A query of {@link AgentRecord}s. */
export function selectAgent(db: Queries) {
  return db
    .selectFrom('agents')
    .innerJoin('sessions', 'sessions.id', 'agents.session_id')
    .selectAll('agents')
    .select(['sessions.project', 'sessions.mode'])
}

/** The agent in wire format, with its latest task. */
export function toWireAgent(db: Database, row: AgentRow): WireAgent {
  return JSON.parse(wireAgentText(db, row)) as WireAgent // our own JSON
}

/** The JSON of {@link toWireAgent}, cached until the next write. */
export function wireAgentText(db: Database, row: AgentRow): string {
  // Read both in one turn of the event loop: if the task ended between the reads, the cache would show an ended task of a
  // running agent until the next write.
  return db.cached(`wire ${row.id}`, () => {
    const now = db.first(byId(db), row.id) ?? row
    return JSON.stringify(wireAgent(now, now.task_id ? committedTask(db, now.task_id) : undefined))
  })
}

/** A page of agents in wire format. */
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
    ...(row.approvals !== null && { approvals: JSON.parse(row.approvals) }),
    timeout: row.timeout_seconds,
    ...(row.network !== null && { network: JSON.parse(row.network) }),
    ...(row.idle_timeout !== null && { idleTimeout: JSON.parse(row.idle_timeout) }),
    task: task ? toWireTask(task) : null,
    createdAt: isoTime(row.created_at),
    updatedAt: isoTime(row.updated_at),
  }
}

/** The task in wire format. */
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
