import type { AgentStatus, TaskStatus, WireSession } from '@theazo/core'
import type { Plan } from '../keys/plan.ts'

/** The tables. Times are milliseconds since the epoch, JSON is text, flags are 0 and 1, money is micro-cents. */
export interface Tables {
  api_keys: ApiKeyRow
  sessions: SessionRow
  agents: AgentRow
  tasks: TaskRow
  task_steps: TaskStepRow
  events: EventRow
  compute_usage: UsageIntervalRow
  storage_usage: UsageIntervalRow & { size_bytes: number }
  model_usage: ModelUsageRow
  idempotency: IdempotencyRow
  project_store: ProjectStoreRow
}

/** Live data is real, test data comes from mocks; neither sees the other. */
export type Mode = 'live' | 'test'

export interface ApiKeyRow {
  id: string
  project: string
  mode: Mode
  plan: Plan
  /** Requests a minute in place of the plan's. */
  rpm: number | null
  /** Names with commas between. */
  scopes: string
  /** SHA-256 of the key, hex. The key itself is never stored. */
  hash: string
  /** 1: its text is in the data folder. */
  is_embedded: 0 | 1
  created_at: number
  revoked_at: number | null
}

export interface SessionRow {
  id: string
  project: string
  mode: Mode
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
  /** Of the API key that made it, or resumed it last: who is billed. */
  key_id: string
  /** Unique among the session's agents that live. */
  name: string | null
  metadata: string | null
  status: AgentStatus
  reason: string | null
  provider: string
  model_id: string | null
  browser: 0 | 1
  instructions: string | null
  tools: string
  timeout_seconds: number
  /** What it may reach; null is nothing. */
  network: string | null
  /** What becomes of it when nobody uses it; null: nothing. */
  idle_timeout: string | null
  /** The latest one. */
  task_id: string | null
  /** The number of its latest event, also of one that is kept no more. */
  event_count: number
  created_at: number
  updated_at: number
}

export interface TaskRow {
  id: string
  agent_id: string
  key_id: string
  status: TaskStatus
  prompt: string
  output: string | null
  error: string | null
  cost: number
  input_tokens: number
  output_tokens: number
  /** Milliseconds that it ran before it was paused or its server ended. */
  run_ms: number
  created_at: number
  started_at: number | null
  finished_at: number | null
}

/** What a run has done so far: all that is needed to go on after a pause or a crash. */
interface TaskStepRow {
  task_id: string
  number: number
  step: string
}

export interface EventRow {
  agent_id: string
  /** Grows by one. */
  number: number
  type: string
  data: string
  created_at: number
}

/** Time that is billed. */
interface UsageIntervalRow {
  id: string
  agent_id: string
  session_id: string
  key_id: string
  project: string
  started_at: number
  /** When it was last known to go on: where it ends if the server is killed. */
  seen_at: number
  ended_at: number | null
}

interface ModelUsageRow {
  id: string
  task_id: string
  session_id: string
  key_id: string
  project: string
  at: number
  input_tokens: number
  output_tokens: number
  cost: number
}

/** Kept by triggers (stored-bytes.ts). */
interface ProjectStoreRow {
  project: string
  /** Of its sessions, agents, tasks, events and kept answers; files of agents are not among them. */
  bytes: number
}

export interface IdempotencyRow {
  key_id: string
  key: string
  /** SHA-256 of path and body. */
  request: string
  /** `pending` until it is answered; `interrupted` where it was cut and must not run again; `not_kept`: the answer was too large. */
  state: 'pending' | 'done' | 'interrupted' | 'not_kept'
  /** The ULID of what the request creates: after a crash it is found by that. */
  reserved: string
  status: number | null
  body: string | null
  created_at: number
}
