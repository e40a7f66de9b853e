/**
 * What travels for the SDK of the hosted service, which is published as `theazo`, beside what the reference has (extension
 * `official-sdk`). The shapes and the words are that SDK's. Types only.
 *
 * @module
 */
import type { Money } from './wire.ts'

/**
 * Answer of `GET /agents/:id/status` (extension `official-sdk`): what the SDK that is published as `theazo` reads. It has
 * words of its own for statuses: `ready` is `idle`, `completed` is `terminated`.
 */
export interface AgentStatusInfo {
  status: 'booting' | 'ready' | 'running' | 'paused' | 'completed' | 'failed'
  /** For people, e.g. `3m 12s`: how long the agent has been there, or was until its end. */
  duration: string
  /** So far: compute, storage and models. */
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

/** Answer of `GET /agents/:id/files/:path` (extension `official-sdk`). */
export interface AgentFileContent {
  data: string
  /** `utf-8` where the bytes are that. */
  encoding: 'utf-8' | 'base64'
}

/** Body of `POST /agents/:id/files` (extension `official-sdk`). */
export interface WriteAgentFileBody {
  path: string
  data: string
  /** Default `utf-8`. */
  encoding?: 'utf-8' | 'base64' | undefined
}

/** Answer of `GET /sessions/:id/usage` (extension `official-sdk`): of the session's whole life. */
export interface SessionUsage {
  cost: Money
  computeMinutes: number
  /** Neither terminated nor failed. */
  activeAgents: number
  totalAgentsCreated: number
}
