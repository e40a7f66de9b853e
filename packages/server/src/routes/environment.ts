import type { IncomingHttpHeaders } from 'node:http'
import type { Logger } from 'pino'
import type { Principal } from '../keys/api-keys.ts'

/** How a request has ended. */
export interface StreamOutcome {
  status: number
  /** JSON; undefined if it is too large to store. */
  body: string | undefined
  /** The error of a failed request. */
  error: Error | undefined
}

/** The connection of a request. */
export interface Connection {
  /** Node's own request. */
  readonly incoming: { readonly headers: IncomingHttpHeaders }
}

/** State of one request: the results of the checks before the routes, and the headers of the answer. */
export interface RequestContext {
  /** Undefined for a request in the same process. */
  readonly incoming: Connection['incoming'] | undefined
  readonly requestId: string
  readonly log: Logger
  readonly path: string
  /** The pattern of the route: the path without ids. */
  readonly pattern: string
  /** The caller; {@link nobody} before `authenticate`. */
  principal: Principal
  /** Headers of the answer so far. */
  readonly answerHeaders: Record<string, string>
  /** The JSON of the answer, if it was encoded in one piece. */
  answerBody: string | undefined
  /** For a streamed answer: how the request ends, with the whole answer as one text. Never rejects. */
  streamOutcome: Promise<StreamOutcome> | undefined
}

/** The state that Hono passes to routes. */
export interface Environment {
  Bindings: RequestContext
  Variables: {
    /** The body, after it was read. */
    bodyText: string | undefined
    /** For a request with an idempotency key: the ULID of the resource that it creates, the same for each retry. */
    reserved: string | undefined
  }
}

/** A principal without scopes and without data. */
export const nobody: Principal = { keyId: '', project: '', mode: 'test', plan: 'free', rpm: 0, scopes: [] }
