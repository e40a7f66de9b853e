import { configurationError } from './errors.ts'
import type { Transport } from './transport/transport.ts'
import type { CallOptions } from './transport/transport-options.ts'
import type { Feature, UsageSummary } from './wire.ts'

/** Which usage is summed. */
export interface UsageSummaryOptions extends CallOptions {
  /** A `Date`, or an ISO 8601 date or date-time. Default: the start of this month, UTC. */
  from?: Date | string | undefined
  /** Default: now. */
  until?: Date | string | undefined
  /** Only of this session. Needs an extension; the reference sums all. */
  sessionId?: string | undefined
  /** Only of this user. Needs an extension. */
  userId?: string | undefined
  /** Only of this API key. Needs an extension. */
  keyId?: string | undefined
}

/** What was used, and what it costs. */
export class Usage {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * Compute, models, storage and their sum.
   *
   * @throws {UnprocessableEntityError} where `from` is after `until`.
   */
  async summary(options: UsageSummaryOptions = {}): Promise<UsageSummary> {
    const { from, until, sessionId, userId, keyId, signal, timeoutMs } = options
    // A server that does not know the filter would answer the sum of all. It goes with the other extensions of sessions.
    const isFiltered = sessionId !== undefined || userId !== undefined || keyId !== undefined
    const needs: [Feature, string][] = isFiltered ? [['sessions', 'usage.summary with a filter']] : []
    const query = { from: isoText(from), until: isoText(until), sessionId, userId, keyId }
    return await this.#transport.request({ method: 'GET', path: ['usage', 'summary'], query, needs, signal, timeoutMs })
  }
}

function isoText(time: Date | string | undefined): string | undefined {
  if (!(time instanceof Date)) return time
  if (!Number.isNaN(time.getTime())) return time.toISOString()
  throw configurationError('A date of usage.summary is none.')
}
