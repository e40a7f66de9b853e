import type { Clock } from './clock.ts'
import type { TheazoError } from '../errors.ts'

/** How calls reach the API. */
export interface TransportOptions {
  /** API key, `th_live_…` or `th_test_…`. Default: the environment's `THEAZO_API_KEY`. */
  apiKey?: string | undefined
  /** With or without `/v1`. Default: the environment's `THEAZO_BASE_URL`, else `https://api.theazo.com/v1`. */
  baseUrl?: string | undefined
  /** Takes the place of the platform's `fetch`; an embedded server's goes here. */
  fetch?: typeof globalThis.fetch | undefined
  /** Deadline of a call in milliseconds, retries and body included. Default 30,000; exec has its own. */
  timeoutMs?: number | undefined
  /** Attempts after the first, where the retry table allows any. Default 2; 0 turns retries off. */
  maxRetries?: number | undefined
  /** Sent with every request; they may replace ours, but for `authorization`. */
  headers?: Record<string, string> | undefined
  /** Added to the `User-Agent`: an adapter's name and version. */
  userAgent?: string | undefined
  /** Told of every attempt. */
  hooks?: RequestHooks | undefined
  /** Time and chance of retries and reconnects. Default: the platform's. */
  clock?: Clock | undefined
}

/** What any single call may be given. */
export interface CallOptions {
  /** Ends the call; it rejects with the signal's reason. An aborted signal sends nothing. */
  signal?: AbortSignal | undefined
  /** Deadline of this call in milliseconds, retries and body included. */
  timeoutMs?: number | undefined
  /**
   * Of a POST: a server with the extension `idempotency` does it once for all calls with the same key within 24 hours.
   * Default: a new one for each call, the same for all its attempts.
   */
  idempotencyKey?: string | undefined
}

/** Watch requests, e.g. for logs and metrics. They are called and not awaited, and what they throw is dropped. */
export interface RequestHooks {
  /** An attempt is about to be sent. The key is redacted in `headers`. */
  onRequest?: (event: AttemptEvent & { headers: Record<string, string> }) => void
  /** The head of an answer has come, of whatever status. */
  onResponse?: (event: AttemptEvent & { status: number; requestId: string | undefined; durationMs: number }) => void
  /** An attempt has failed, and another follows after `delayMs`. */
  onRetry?: (event: AttemptEvent & { delayMs: number; error: TheazoError }) => void
}

/** One attempt of a call. */
export interface AttemptEvent {
  method: string
  url: string
  /** 1 for the first. */
  attempt: number
}
