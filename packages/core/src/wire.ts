/**
 * The wire format: the JSON that client and server exchange, as the Theazo API reference and its contract define it.
 *
 * Optional fields of request bodies also accept undefined, which JSON omits.
 *
 * Types only. The compiler checks the server's schemas against these types, so that the two cannot differ.
 *
 * @module
 */

/** An amount of money in integer cents. */
export interface Money {
  amount: number
  currency: 'usd'
}

/** A cap on the cost of a session. A period is a UTC day or month, or the session's whole life. */
export interface MaxCost extends Money {
  period: 'session' | 'day' | 'month'
}

/** Caps on the use of a session. */
export interface SessionLimits {
  maxCost?: MaxCost | undefined
  /** Counts agents that are neither terminated nor failed. */
  maxAgents?: number | undefined
  /** Counts wall time from ready to paused or ended, summed over all agents. */
  maxComputeMinutes?: number | undefined
}

/** JSON that a caller stores with a session or an agent. */
export type Metadata = Record<string, unknown>

/** The isolated space of one end user. Agents, limits and costs belong to it. */
export interface Session {
  /** `ses_` and a ULID. */
  id: string
  userId: string
  status: 'active' | 'paused' | 'terminated'
  limits: SessionLimits
  metadata: Metadata
  /** The stored metadata is larger than the server now accepts, and is omitted. */
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

/** Body of `POST /sessions/by-user/:userId`. It applies only if the call creates the session. */
export type SessionForUserBody = Omit<CreateSessionBody, 'userId'>

/** Body of `PATCH /sessions/:id` (extension `sessions`). Fields are merged into the stored ones; null removes a field. */
export interface UpdateSessionBody {
  limits?: { [Limit in keyof SessionLimits]?: SessionLimits[Limit] | null } | null | undefined
  metadata?: Metadata | null | undefined
}

/** One page of a list. The last page has no `nextCursor`. */
export interface Page<Item> {
  data: Item[]
  nextCursor?: string
  hasMore: boolean
}

/** The status of an agent. An agent that is ready for use is `idle`. */
export type AgentStatus = 'booting' | 'idle' | 'running' | 'paused' | 'failed' | 'terminated'

/** One sandbox in a session. */
export interface Agent {
  /** `agt_` and a ULID. */
  id: string
  sessionId: string
  /** Unique among the session's agents that have not ended (extension `agents`). */
  name?: string
  metadata?: Metadata
  /** The stored metadata is larger than the server now accepts, and is omitted. */
  metadataTruncated?: true
  status: AgentStatus
  /** Why the agent failed, or why the server paused or terminated it. */
  reason?: string
  compute: { provider: string }
  model: { id: string } | null
  browser: boolean
  instructions: string | null
  /** The stored instructions are longer than the server now accepts, and are cut. */
  instructionsTruncated?: true
  tools: string[]
  /** Seconds that one run may take. */
  timeout: number
  /** Absent if the agent's code has no network access (extension `agents`). */
  network?: Network
  /** What the server does with the agent when it is idle (extension `agents`). */
  idleTimeout?: IdleTimeout
  /** Tools whose calls wait for an approval. */
  approvals?: string[]
  /** The latest task; null before the first one. */
  task: Task | null
  createdAt: string
  updatedAt: string
}

/** The network access of code in a sandbox: public internet hosts only, through an HTTP proxy. */
export interface Network {
  /**
   * At most 100 entries. An entry is a host name (`api.github.com`), `*.` and a name for all names below it, `*` for any
   * public host, or a public IP address. An entry may end with `:port`; without it, ports 80 and 443 are allowed.
   */
  allow: string[]
}

/** What the server does with an agent that had no exec, run, file operation or open stream for a while. */
export interface IdleTimeout {
  /** Seconds without use: a whole number from 60 to 604,800 (a week). */
  seconds: number
  /** `terminate` deletes the files. `pause` retains them, and compute is not billed. */
  action: 'terminate' | 'pause'
}

/** The status of a task. The last three are final. */
export type TaskStatus = 'queued' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled'

/** One run of an agent's own model loop. */
export interface Task {
  /** `task_` and a ULID. */
  id: string
  agentId: string
  status: TaskStatus
  prompt: string
  /** The stored prompt is longer than the server now accepts, and is cut. */
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

/** The fields that a server with the extension `agents` accepts besides {@link CreateAgentBody}. */
export interface CreateAgentExtensions {
  /** 1–128 characters. If an agent that has not ended has this name, the server returns that agent. */
  name?: string | undefined
  metadata?: Metadata | undefined
  /** Tools of the agent whose calls a person must approve: the agent pauses before each call. Default: none. */
  approvals?: string[] | undefined
  /** Default: no network access. */
  network?: Network | undefined
  /** Default: none; the agent exists until it is terminated. */
  idleTimeout?: IdleTimeout | undefined
}

/** Body of `POST /agents/:id/run`. */
export interface RunBody {
  /** The prompt. */
  task: string
}

/** Extensions of `POST /agents/:id/run`. */
export interface RunExtensions {
  /** True: the model does not see the agent's earlier tasks. Default false. Files stay in both cases. */
  fresh?: boolean | undefined
}

/** Body of `POST /agents/:id/resume`, if a tool call waits for an approval. */
export interface ResumeExtensions {
  approve?: boolean | undefined
  /** The id of the call. If another call waits by now, the answer is 409. */
  callId?: string | undefined
  /** For the model. */
  message?: string | undefined
}

/** Response of `POST /agents/:id/run`. */
export interface RunAccepted {
  taskId: string
  agentId: string
}

/** The languages that a sandbox can run. */
export type Language = 'python' | 'typescript' | 'bash'

/** Body of `POST /agents/:id/exec`. */
export interface ExecBody {
  lang: Language
  code: string
}

/** The fields that servers with the extensions `exec-options` and `exec-stdin` accept besides {@link ExecBody}. */
export interface ExecExtensions {
  /** Milliseconds after which the server kills the code and responds with 504. 1 to 120,000; default 120,000. */
  timeoutMs?: number | undefined
  /** Added to the environment of the code. */
  env?: Record<string, string> | undefined
  /** Working directory; default `/workspace`. */
  cwd?: string | undefined
  /** Content of the code's standard input; bytes as base64. */
  stdin?: string | { base64: string } | undefined
}

/** A file that an exec created or changed (extension `exec-files`). */
export interface ExecFile {
  /** Absolute, below `/workspace`. */
  path: string
  sizeBytes: number
  mediaType?: string
}

/** The output of code and its exit code. A non-zero exit code is a result, not an error. */
export interface ExecResult {
  stdout: string
  stderr: string
  /** 128 + n if signal n ended the code. */
  exitCode: number
  durationMs: number
  /** True if `stdout` was cut at 10 MiB. */
  stdoutTruncated?: true
  /** True if `stderr` was cut at 10 MiB. */
  stderrTruncated?: true
  /** Files that the code created or changed below `/workspace`, at most 100 (extension `exec-files`). */
  files?: ExecFile[]
  /** True if there were more such files, or too many files to compare. */
  filesTruncated?: true
}

/** Response of `GET /usage/summary`. The costs of the parts add up to `total`. */
export interface UsageSummary {
  period: { from: string; until: string }
  compute: { minutes: number; cost: Money }
  models: { inputTokens: number; outputTokens: number; cost: Money }
  /** GB-months. */
  storage: { gb: number; cost: Money }
  total: Money
}

/** An extension of the API. A server lists its extensions in the header `Theazo-Features` of every response. */
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
  | 'conversations'
  | 'official-sdk'

/** Response of `POST /agents/:id/terminate`. */
export interface OkBody {
  ok: true
}

/** The documented error codes. A server may send others; clients pass them on unchanged. */
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

/** Body of every response that is not 2xx. */
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
