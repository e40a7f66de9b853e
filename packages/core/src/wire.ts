/**
 * The wire: what travels between client and server, as the Theazo API reference and its contract define it.
 *
 * In what a client sends, an optional field may also be given as undefined: JSON leaves it out.
 *
 * Types only. The server checks its own schemas against these, so the two cannot drift.
 *
 * @module
 */

/** Money in integer cents. */
export interface Money {
  amount: number
  currency: 'usd'
}

/** Spend cap of a session. A period is a UTC day or month, or the session's whole life. */
export interface MaxCost extends Money {
  period: 'session' | 'day' | 'month'
}

/** What a session may use at most. */
export interface SessionLimits {
  maxCost?: MaxCost | undefined
  /** Agents that are neither terminated nor failed. */
  maxAgents?: number | undefined
  /** Wall time from ready to paused or ended, summed over agents. */
  maxComputeMinutes?: number | undefined
}

/** Values a caller stores with a session or an agent; JSON. */
export type Metadata = Record<string, unknown>

/** One end user's isolated space: agents, limits and costs belong to it. */
export interface Session {
  /** `ses_` and a ULID. */
  id: string
  userId: string
  status: 'active' | 'paused' | 'terminated'
  limits: SessionLimits
  metadata: Metadata
  createdAt: string
  updatedAt: string
}

/** Body of `POST /sessions`. */
export interface CreateSessionBody {
  /** 1–256 characters. */
  userId: string
  limits?: SessionLimits | undefined
  metadata?: Metadata | undefined
}

/** Body of `POST /sessions/by-user/:userId`; counts only where the call creates the session. */
export type SessionForUserBody = Omit<CreateSessionBody, 'userId'>

/** Where an agent stands. Ready is `idle`. */
export type AgentStatus = 'booting' | 'idle' | 'running' | 'paused' | 'failed' | 'terminated'

/** One sandbox in a session. */
export interface Agent {
  /** `agt_` and a ULID. */
  id: string
  sessionId: string
  status: AgentStatus
  /** Why it failed, where it did. */
  reason?: string
  compute: { provider: string }
  model: { id: string } | null
  browser: boolean
  instructions: string | null
  tools: string[]
  /** Seconds that one run may take. */
  timeout: number
  /** The latest task; none yet is null. */
  task: Task | null
  createdAt: string
  updatedAt: string
}

/** One run of an agent's own model loop. */
export interface Task {
  /** `task_` and a ULID. */
  id: string
  agentId: string
  status: 'queued' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'
  prompt: string
  output?: string
  error?: { code: string; message: string }
  cost: Money
  usage: { inputTokens: number; outputTokens: number }
  createdAt: string
  startedAt?: string
  finishedAt?: string
}

/** Body of `POST /sessions/:id/agents`. */
export interface CreateAgentBody {
  compute?: { provider: string } | undefined
  model?: { id: string } | undefined
  browser?: boolean | undefined
  instructions?: string | undefined
  tools?: string[] | undefined
  /** Seconds; default 300. */
  timeout?: number | undefined
}

/** Languages a sandbox runs. */
export type Language = 'python' | 'typescript' | 'bash'

/** Body of `POST /agents/:id/exec`. */
export interface ExecBody {
  lang: Language
  code: string
}

/** What code printed and how it ended. A non-zero exit is a result, not an error. */
export interface ExecResult {
  stdout: string
  stderr: string
  /** 128 + n where signal n ended it. */
  exitCode: number
  durationMs: number
  /** True where the 10 MiB cap of stdout cut it. */
  stdoutTruncated?: true
  /** True where the 10 MiB cap of stderr cut it. */
  stderrTruncated?: true
}

/** Answer of `POST /agents/:id/terminate`. */
export interface OkBody {
  ok: true
}

/** The codes the API documents. A server may send others; clients keep those as they come. */
export type WireErrorCode =
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'unprocessable_entity'
  | 'rate_limited'
  | 'session_limit_exceeded'
  | 'provider_error'
  | 'timeout'
  | 'internal_error'

/** Body of every answer that is not 2xx. */
export interface ErrorEnvelope {
  error: {
    code: string
    message: string
    /** For 422: `{ fields: { path: message[] } }`; for 429: `{ retryAfter: seconds }`. */
    details?: Record<string, unknown>
    /** `req_` and a ULID; also in the `x-request-id` header. */
    requestId: string
  }
}
