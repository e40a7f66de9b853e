import { costText, type ToolSource } from '@theazo/core/tools'
import { sessionUsage } from './session-usage.ts'

/** The budget must not delay a result for longer. */
const timeoutMs = 2000

/** The rest of a session's cap. */
export class RemainingBudget {
  readonly #account: ToolSource['account']
  /** Undefined until the session was read once. A session without a cap is not read again. */
  #hasCap: boolean | undefined

  constructor(account: ToolSource['account']) {
    this.#account = account
  }

  /** Cents until the cap is reached. Undefined without a cap, and if the API does not answer in time. */
  async cents(signal: AbortSignal): Promise<number | undefined> {
    if (this.#hasCap === false) return undefined
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const result = await sessionUsage(this.#account, inTime).catch(() => {})
    if (!result || result.isError) return undefined
    this.#hasCap = result.data.maxCost !== undefined
    return result.data.remainingCents
  }
}

/** The line of a result. */
export function budgetText(cents: number): string {
  return `[budget: ${costText({ amount: cents, currency: 'usd' })} left]`
}
