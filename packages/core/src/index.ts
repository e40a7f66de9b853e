/**
 * Client of the Theazo API. Runs on Node, Bun, Deno and edge runtimes: nothing here is Node's alone.
 *
 * @module
 */
export { Agent, Agents, SessionAgents, type CreateAgentOptions, type ExecOptions } from './agents.ts'
export { Theazo, type TheazoOptions } from './client.ts'
export {
  ConfigurationError,
  ConflictError,
  ConnectionError,
  ForbiddenError,
  InternalError,
  InvalidResponseError,
  NotFoundError,
  ProviderError,
  RateLimitedError,
  ServerTimeoutError,
  SessionLimitExceededError,
  TheazoError,
  TimeoutError,
  UnauthorizedError,
  UnprocessableEntityError,
  type LocalErrorCode,
  type TheazoErrorCode,
  type TheazoErrorOptions,
} from './errors.ts'
export { Session, Sessions, type CreateSessionOptions, type SessionForUserOptions } from './sessions.ts'
export type { CallOptions, TransportOptions } from './transport.ts'
export type {
  Agent as WireAgent,
  AgentStatus,
  CreateAgentBody,
  CreateSessionBody,
  ErrorEnvelope,
  ExecBody,
  ExecResult,
  Language,
  MaxCost,
  Metadata,
  Money,
  OkBody,
  Session as WireSession,
  SessionForUserBody,
  SessionLimits,
  Task,
  WireErrorCode,
} from './wire.ts'
