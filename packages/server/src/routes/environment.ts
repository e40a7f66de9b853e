import type { IncomingHttpHeaders } from 'node:http'
import type { Logger } from 'pino'
import type { Principal } from '../keys/api-keys.ts'

/** How a request has ended. */
export interface Ending {
  status: number
  /** JSON; undefined if it is too large to be kept. */
  body: string | undefined
  /** Where it failed. */
  error: Error | undefined
}

/** Where a request came in. */
export interface Connection {
  /** Node's own request. */
  readonly incoming: { readonly headers: IncomingHttpHeaders }
}

/** One request on its way to its answer: what the checks before the routes have found, and what the answer is to tell. */
export interface Call {
  /** In-process there is none. */
  readonly incoming: Connection['incoming'] | undefined
  readonly requestId: string
  readonly log: Logger
  readonly path: string
  /** The path as routes name it: without ids. */
  readonly pattern: string
  /** Who asks: {@link nobody} until `authenticate` has let the request pass. */
  principal: Principal
  /** Headers of the answer so far. */
  readonly told: Record<string, string>
  /** The JSON of the answer, if it was made at once. */
  answered: string | undefined
  /** How the request ends where a stream answers it; its answer as one text. Never rejects. */
  ending: Promise<Ending> | undefined
}

/** What Hono hands to routes. */
export interface Environment {
  Bindings: Call
  Variables: {
    /** The body, once it was read. */
    bodyText: string | undefined
    /** The ULID for what the request creates, where it has an idempotency key: the same when it comes again. */
    reserved: string | undefined
  }
}

/** Has no scope, and no data is its own. */
export const nobody: Principal = { keyId: '', project: '', mode: 'test', plan: 'free', rpm: 0, scopes: [] }
