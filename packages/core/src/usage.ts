import { configurationError } from './errors.ts'
import type { Transport } from './transport/transport.ts'
import type { CallOptions } from './transport/transport-options.ts'
import type { Feature, UsageSummary } from './wire.ts'

/** Options of {@link Usage.summary}. */
export interface UsageSummaryOptions extends CallOptions {
  /** A `Date`, or an ISO 8601 date or date-time. Default: the start of this month, UTC. */
  from?: Date | string | undefined
  /** Default: now. */
  until?: Date | string | undefined
  /** Count only this session. Needs the extension `sessions`. */
  sessionId?: string | undefined
  /** Count only this user. Needs the extension `sessions`. */
  userId?: string | undefined
  /** Count only this API key. Needs the extension `sessions`. */
  keyId?: string | undefined
}

/** Reports usage and its cost. */
export class Usage {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * The usage of compute, models and storage, and their total cost.
   *
   * @throws {UnprocessableEntityError} if `from` is after `until`.
   * @example
   * ```ts
   * const { total } = await theazo.usage.summary({ from: '2026-01-01', userId: 'user_123' })
   * console.log(total.amount, 'cents')
   * ```
   */
  async summary(options: UsageSummaryOptions = {}): Promise<UsageSummary> {
    const { from, until, sessionId, userId, keyId, signal, timeoutMs } = options
    // A server without the extension would ignore the filter and return the usage of everybody.
    const isFiltered = sessionId !== undefined || userId !== undefined || keyId !== undefined
    const needs: [Feature, string][] = isFiltered ? [['sessions', 'usage.summary with a filter']] : []
    const query = { from: isoText(from), until: isoText(until), sessionId, userId, keyId }
    return await this.#transport.request({ method: 'GET', path: ['usage', 'summary'], query, needs, signal, timeoutMs })
  }
}

function isoText(time: Date | string | undefined): string | undefined {
  if (!(time instanceof Date)) return time
  if (!Number.isNaN(time.getTime())) return time.toISOString()
  throw configurationError('from and until of usage.summary must be valid dates, not an Invalid Date.')
}
