import type { AgentStatus, WireSession } from '@theazo/core'
import type { Plan } from '../keys/plan.ts'

/** The tables. Times are milliseconds since the epoch, JSON is text, flags are 0 and 1. */
export interface Tables {
  api_keys: ApiKeyRow
  sessions: SessionRow
  agents: AgentRow
}

export interface ApiKeyRow {
  id: string
  project: string
  mode: 'live' | 'test'
  plan: Plan
  /** SHA-256 of the key, hex. The key itself is never stored. */
  hash: string
  /** 1: its text is in the data folder. */
  is_embedded: 0 | 1
  created_at: number
}

export interface SessionRow {
  id: string
  project: string
  mode: 'live' | 'test'
  user_id: string
  status: WireSession['status']
  limits: string
  metadata: string
  created_at: number
  updated_at: number
}

export interface AgentRow {
  id: string
  session_id: string
  /** Unique among the session's agents that live. */
  name: string | null
  metadata: string | null
  status: AgentStatus
  reason: string | null
  provider: string
  instructions: string | null
  tools: string
  timeout_seconds: number
  created_at: number
  updated_at: number
}
