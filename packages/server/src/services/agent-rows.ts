import type { CreateAgentBody, CreateAgentExtensions, WireAgent } from '@theazo/core'
import { newId } from '../ids.ts'
import type { AgentRow } from '../store/tables.ts'

/** A new agent, which boots. */
export function newAgentRow(
  sessionId: string,
  provider: string,
  tools: readonly string[],
  body: CreateAgentBody & CreateAgentExtensions,
): AgentRow {
  const now = Date.now()
  return {
    id: newId('agt'),
    session_id: sessionId,
    name: body.name ?? null,
    metadata: body.metadata ? JSON.stringify(body.metadata) : null,
    status: 'booting',
    reason: null,
    provider,
    instructions: body.instructions ?? null,
    tools: JSON.stringify(tools),
    timeout_seconds: body.timeout ?? 300,
    created_at: now,
    updated_at: now,
  }
}

/** As the API tells it. */
export function toWireAgent(row: AgentRow): WireAgent {
  return {
    id: row.id,
    sessionId: row.session_id,
    ...(row.name !== null && { name: row.name }),
    ...(row.metadata !== null && { metadata: JSON.parse(row.metadata) }),
    status: row.status,
    ...(row.reason !== null && { reason: row.reason }),
    compute: { provider: row.provider },
    model: null,
    browser: false,
    instructions: row.instructions,
    tools: JSON.parse(row.tools),
    timeout: row.timeout_seconds,
    task: null,
    createdAt: new Date(row.created_at).toISOString(),
    updatedAt: new Date(row.updated_at).toISOString(),
  }
}
