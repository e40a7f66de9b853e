import type { Clock } from './clock.ts'
import type { TheazoError } from '../errors.ts'

/** Options of the client's connection to the API. */
export interface TransportOptions {
  /** API key, `th_live_…` or `th_test_…`. Default: the environment variable `THEAZO_API_KEY`. */
  apiKey?: string | undefined
  /** With or without `/v1`. Default: the environment variable `THEAZO_BASE_URL`, else `https://api.theazo.com/v1`. */
  baseUrl?: string | undefined
  /** Replaces the platform's `fetch`, e.g. by that of an embedded server. */
  fetch?: typeof globalThis.fetch | undefined
  /** Deadline of a call in milliseconds, retries and body included. Default 30,000; exec has its own deadline. */
  timeoutMs?: number | undefined
  /** Attempts after the first, if the retry table allows them. Default 2; 0 turns retries off. */
  maxRetries?: number | undefined
  /** Sent with every request. They may replace the client's own headers, except `authorization`. */
  headers?: Record<string, string> | undefined
  /** Appended to the `User-Agent`, e.g. the name and version of an adapter. */
  userAgent?: string | undefined
  /** Called for every attempt. */
  hooks?: RequestHooks | undefined
  /** Source of time and random numbers for retries and reconnects. Default: the platform's. */
  clock?: Clock | undefined
}

/** Options of every call. */
export interface CallOptions {
  /** Ends the call, which rejects with the signal's reason. If it is already aborted, nothing is sent. */
  signal?: AbortSignal | undefined
  /** Deadline of this call in milliseconds, retries and body included. */
  timeoutMs?: number | undefined
  /**
   * For POST: a server with the extension `idempotency` executes calls with the same key once within 24 hours. Default: a
   * new key for each call; all attempts of the call use it.
   */
  idempotencyKey?: string | undefined
}

/** Observers of requests, e.g. for logs and metrics. They are not awaited, and their errors are ignored. */
export interface RequestHooks {
  /** Called before an attempt is sent. The API key is redacted in `headers`. */
  onRequest?: (event: AttemptEvent & { headers: Record<string, string> }) => void
  /** Called when the headers of a response have arrived, whatever its status. */
  onResponse?: (event: AttemptEvent & { status: number; requestId: string | undefined; durationMs: number }) => void
  /** Called when an attempt has failed and another one follows after `delayMs`. */
  onRetry?: (event: AttemptEvent & { delayMs: number; error: TheazoError }) => void
}

/** One attempt of a call. */
export interface AttemptEvent {
  method: string
  url: string
  /** Number of the attempt, from 1. */
  attempt: number
}
