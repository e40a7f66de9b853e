/**
 * Client of the Theazo API. It uses no Node-only module, so that it can run on Node, Bun, Deno and edge runtimes.
 *
 * @module
 */
export { Agent, type ResumeOptions } from './agent.ts'
export type {
  AgentEvent,
  OutputDeltaEvent,
  OutputEvent,
  RunErrorEvent,
  StatusEvent,
  ThinkingEvent,
  ToolCallEvent,
  ToolOutputEvent,
  ToolResultEvent,
  UnknownEvent,
  UnreadableEvent,
} from './streams/agent-events.ts'
export { Agents, SessionAgents, type CreateAgentOptions, type ListAgentsOptions } from './agents.ts'
export { Theazo, type TheazoOptions } from './client.ts'
export type { ByteContent, StreamContent } from './files/byte-content.ts'
export type { Clock } from './transport/clock.ts'
export {
  ConfigurationError,
  ConflictError,
  ConnectionError,
  FileError,
  ForbiddenError,
  InternalError,
  InvalidResponseError,
  NotFoundError,
  NotSupportedError,
  ProviderError,
  RateLimitedError,
  ServerTimeoutError,
  SessionLimitExceededError,
  StreamError,
  TheazoError,
  TimeoutError,
  UnauthorizedError,
  UnprocessableEntityError,
  type FileErrorCode,
  type LocalErrorCode,
  type TheazoErrorCode,
  type TheazoErrorOptions,
} from './errors.ts'
export type { EventStreamOptions } from './streams/event-stream-options.ts'
export type { ExecChunk, ExecOptions, ExecStreamOptions } from './exec/exec-options.ts'
export { SandboxFiles } from './files/files.ts'
export type {
  FileEntry,
  FileHost,
  FileOptions,
  ListFilesOptions,
  ReadFileOptions,
  RemoveFileOptions,
  SandboxFilesOptions,
} from './files/file-options.ts'
export type { ApprovalAnswer, PendingCall, RunCallbacks } from './runs/forward.ts'
export type {
  AgentFileContent,
  AgentFileEntry,
  AgentStatusInfo,
  SessionUsage,
  WriteAgentFileBody,
} from './official-sdk.ts'
export { PagedList, type ListOptions } from './transport/pages.ts'
export { Run } from './runs/run.ts'
export type { RunResult } from './runs/run-outcome.ts'
export type { AttachOptions, RunOptions } from './runs/run-source.ts'
export {
  Session,
  Sessions,
  type CreateSessionOptions,
  type ListSessionsOptions,
  type SessionForUserOptions,
  type UpdateSessionOptions,
} from './sessions.ts'
export { AgentTasks } from './runs/tasks.ts'
export type { AttemptEvent, CallOptions, RequestHooks, TransportOptions } from './transport/transport-options.ts'
export { Usage, type UsageSummaryOptions } from './usage.ts'
export type {
  Agent as WireAgent,
  AgentStatus,
  CreateAgentBody,
  CreateAgentExtensions,
  CreateSessionBody,
  ErrorEnvelope,
  ExecBody,
  ExecExtensions,
  ExecFile,
  ExecResult,
  Feature,
  IdleTimeout,
  Language,
  MaxCost,
  Metadata,
  Network,
  Money,
  OkBody,
  Page,
  RunAccepted,
  RunBody,
  RunExtensions,
  ResumeExtensions,
  Session as WireSession,
  SessionForUserBody,
  SessionLimits,
  Task,
  TaskStatus,
  UpdateSessionBody,
  UsageSummary,
  WireErrorCode,
} from './wire.ts'
