/**
 * The additional wire types that the SDK of the hosted service uses (npm package `theazo`; extension `official-sdk`). The
 * shapes and the names are those of that SDK. Types only.
 *
 * @module
 */
import type { Money } from './wire.ts'

/**
 * Response of `GET /agents/:id/status` (extension `official-sdk`). It has its own names for two statuses: `ready` is
 * `idle`, `completed` is `terminated`.
 */
export interface AgentStatusInfo {
  status: 'booting' | 'ready' | 'running' | 'paused' | 'completed' | 'failed'
  /** Time from creation until now, or until the agent ended, e.g. `3m 12s`. For display. */
  duration: string
  /** Cost of compute, storage and models until now. */
  cost: Money
  /** Prompt of the latest task; empty if there is none. */
  task: string
  provider: string
  region: string
}

/** One entry of `GET /agents/:id/files` (extension `official-sdk`). */
export interface AgentFileEntry {
  name: string
  /** Bytes. */
  size: number
  /** ISO 8601. */
  modified: string
}

/** Response of `GET /agents/:id/files/:path` (extension `official-sdk`). */
export interface AgentFileContent {
  data: string
  /** `utf-8` if the bytes are valid UTF-8. */
  encoding: 'utf-8' | 'base64'
}

/** Body of `POST /agents/:id/files` (extension `official-sdk`). */
export interface WriteAgentFileBody {
  path: string
  data: string
  /** Default `utf-8`. */
  encoding?: 'utf-8' | 'base64' | undefined
}

/** Response of `GET /sessions/:id/usage` (extension `official-sdk`). It covers the session's whole life. */
export interface SessionUsage {
  cost: Money
  computeMinutes: number
  /** Agents that are neither terminated nor failed. */
  activeAgents: number
  totalAgentsCreated: number
}
