import type { Logger } from 'pino'
import type { Principal } from '../keys/api-keys.ts'

/** What middleware hands to routes. */
export interface Environment {
  Variables: {
    requestId: string
    /** Logs with the request's id. */
    log: Logger
    principal: Principal
  }
}
