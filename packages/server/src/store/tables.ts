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

/** Live data is real, test data comes from mocks. Live keys cannot see test data, nor test keys live data. */
export type Mode = 'live' | 'test'

export interface ApiKeyRow {
  id: string
  project: string
  mode: Mode
  plan: Plan
  /** Requests per minute; null: the plan's. */
  rpm: number | null
  /** Names, separated by commas. */
  scopes: string
  /** SHA-256 of the key, hex. The key itself is never stored. */
  hash: string
  /** 1 for the embedded key, whose text is in the data folder. */
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
  /** The billed API key: it created the agent, or resumed it last. */
  key_id: string
  /** Unique among the session's agents that have not ended. */
  name: string | null
  metadata: string | null
  status: AgentStatus
  reason: string | null
  provider: string
  model_id: string | null
  browser: 0 | 1
  instructions: string | null
  tools: string
  /** JSON of `approvals`: tools whose calls a person must approve; null: none. */
  approvals: string | null
  timeout_seconds: number
  /** JSON of `network`; null: no network access. */
  network: string | null
  /** JSON of `idleTimeout`; null: none. */
  idle_timeout: string | null
  /** The latest task. */
  task_id: string | null
  /** Number of the latest event, even if that event is no longer stored. */
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
  /** Milliseconds that the task ran before its last pause or shutdown. */
  run_ms: number
  /** JSON of the tool call that waits for an approval. */
  pending_call: string | null
  /** 1 if the task begins a conversation: the model does not see earlier tasks. */
  is_fresh: 0 | 1
  /** 1 if the work stopped between two steps, for a pause or a shutdown: no tool call was in flight. */
  is_suspended: 0 | 1
  created_at: number
  started_at: number | null
  finished_at: number | null
}

/** A completed step of a task, from which the task continues after a pause or a crash. */
interface TaskStepRow {
  task_id: string
  number: number
  step: string
}

export interface EventRow {
  agent_id: string
  /** Increases by one. */
  number: number
  type: string
  data: string
  created_at: number
}

/** An interval of billing. */
interface UsageIntervalRow {
  id: string
  agent_id: string
  session_id: string
  key_id: string
  project: string
  started_at: number
  /** Time of the last heartbeat: the end of the interval if the server is killed. */
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

/** Maintained by triggers (stored-bytes.ts). */
interface ProjectStoreRow {
  project: string
  /** Bytes of its sessions, agents, tasks, events and answers for idempotency, without agents' files. */
  bytes: number
}

export interface IdempotencyRow {
  key_id: string
  key: string
  /** SHA-256 of path and body. */
  request: string
  /**
   * `pending`: not answered yet; `interrupted`: must not run again; `not_kept`: the answer was too large, or the project is
   * full.
   */
  state: 'pending' | 'done' | 'interrupted' | 'not_kept'
  /** ULID of the resource that the request creates: a retry after a crash finds it. */
  reserved: string
  status: number | null
  body: string | null
  created_at: number
}
