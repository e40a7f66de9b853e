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
  /** The stored metadata is larger than the server accepts now, and not shown. */
  metadataTruncated?: true
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

/** Body of `PATCH /sessions/:id` (extension `sessions`): merged into what is there; null removes. */
export interface UpdateSessionBody {
  limits?: { [Limit in keyof SessionLimits]?: SessionLimits[Limit] | null } | null | undefined
  metadata?: Metadata | null | undefined
}

/** One page of a list. No `nextCursor`: the last one. */
export interface Page<Item> {
  data: Item[]
  nextCursor?: string
  hasMore: boolean
}

/** Where an agent stands. Ready is `idle`. */
export type AgentStatus = 'booting' | 'idle' | 'running' | 'paused' | 'failed' | 'terminated'

/** One sandbox in a session. */
export interface Agent {
  /** `agt_` and a ULID. */
  id: string
  sessionId: string
  /** Unique among the session's agents that live (extension `agents`). */
  name?: string
  metadata?: Metadata
  /** The stored metadata is larger than the server accepts now, and not shown. */
  metadataTruncated?: true
  status: AgentStatus
  /** Why it failed, or why the server paused or terminated it. */
  reason?: string
  compute: { provider: string }
  model: { id: string } | null
  browser: boolean
  instructions: string | null
  /** The stored instructions are longer than the server accepts now, and cut. */
  instructionsTruncated?: true
  tools: string[]
  /** Seconds that one run may take. */
  timeout: number
  /** What its code may reach, where that is anything (extension `agents`). */
  network?: Network
  /** What becomes of it when nobody uses it (extension `agents`). */
  idleTimeout?: IdleTimeout
  /** The latest task; none yet is null. */
  task: Task | null
  createdAt: string
  updatedAt: string
}

/** What code in a sandbox may reach: by HTTP proxy, on the internet, and nothing else. */
export interface Network {
  /**
   * At most 100: a host name (`api.github.com`), `*.` and a name for all names below it, `*` for any public host, or a
   * public IP address; each with `:port`, or else for the ports 80 and 443.
   */
  allow: string[]
}

/** What the server does with an agent that has had no exec, run, file operation or open stream for a while. */
export interface IdleTimeout {
  /** Seconds without use: a whole number from 60 to 604,800 (a week). */
  seconds: number
  /** `terminate` deletes the files; `pause` keeps them, and compute is not billed. */
  action: 'terminate' | 'pause'
}

/** Where a task stands. The last three are final. */
export type TaskStatus = 'queued' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'

/** One run of an agent's own model loop. */
export interface Task {
  /** `task_` and a ULID. */
  id: string
  agentId: string
  status: TaskStatus
  prompt: string
  /** The stored prompt is longer than the server accepts now, and cut. */
  promptTruncated?: true
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

/** What a server with the extension `agents` takes beside {@link CreateAgentBody}. */
export interface CreateAgentExtensions {
  /** 1–128 characters. The name of an agent that lives answers that agent. */
  name?: string | undefined
  metadata?: Metadata | undefined
  /** Default: nothing can be reached. */
  network?: Network | undefined
  /** Default: none, the agent stays until it is terminated. */
  idleTimeout?: IdleTimeout | undefined
}

/** Body of `POST /agents/:id/run`. */
export interface RunBody {
  /** The prompt. */
  task: string
}

/** Answer of `POST /agents/:id/run`. */
export interface RunAccepted {
  taskId: string
  agentId: string
}

/** Languages a sandbox runs. */
export type Language = 'python' | 'typescript' | 'bash'

/** Body of `POST /agents/:id/exec`. */
export interface ExecBody {
  lang: Language
  code: string
}

/** What servers with the extensions `exec-options` and `exec-stdin` take beside {@link ExecBody}. */
export interface ExecExtensions {
  /** Milliseconds after which the code is killed and the answer is 504; 1 to 120,000, which is the default. */
  timeoutMs?: number | undefined
  /** Added to the environment of the code. */
  env?: Record<string, string> | undefined
  /** Working directory; default `/workspace`. */
  cwd?: string | undefined
  /** What the code reads from its standard input; bytes as base64. */
  stdin?: string | { base64: string } | undefined
}

/** A file that an exec made or changed (extension `exec-files`). */
export interface ExecFile {
  /** Absolute, below `/workspace`. */
  path: string
  sizeBytes: number
  mediaType?: string
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
  /** What the code made or changed below `/workspace`, 100 at most (extension `exec-files`). */
  files?: ExecFile[]
  /** True where there were more, or too many to look through. */
  filesTruncated?: true
}

/** Answer of `GET /usage/summary`; the parts add up to `total`. */
export interface UsageSummary {
  period: { from: string; until: string }
  compute: { minutes: number; cost: Money }
  models: { inputTokens: number; outputTokens: number; cost: Money }
  /** GB-months. */
  storage: { gb: number; cost: Money }
  total: Money
}

/** What a server can do beyond the reference; it tells in the header `Theazo-Features`. */
export type Feature =
  | 'idempotency'
  | 'exec-stream'
  | 'exec-stdin'
  | 'exec-files'
  | 'exec-options'
  | 'sessions'
  | 'agents'
  | 'tasks'
  | 'replay'
  | 'approvals'
  | 'official-sdk'

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
