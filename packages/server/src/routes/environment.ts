import type { HttpBindings } from '@hono/node-server'
import type { Logger } from 'pino'
import type { Principal } from '../keys/api-keys.ts'

/** How a request has ended. */
export interface Ending {
  status: number
  /** JSON. */
  body: string
  /** Where it failed. */
  error: Error | undefined
}

/** What middleware hands to routes. */
export interface Environment {
  /** Of the connection; in-process there is none. */
  Bindings: Partial<HttpBindings>
  Variables: {
    requestId: string
    log: Logger
    principal: Principal
    /** Headers of the answer so far. */
    told: Record<string, string>
    /** The body, once it was read. */
    bodyText: string | undefined
    /** The ULID for what the request creates, where it has an idempotency key: the same when it comes again. */
    reserved: string | undefined
    /** How a request ends that is answered by a stream; its answer as one text. Never rejects. */
    ending: Promise<Ending> | undefined
  }
}
