import { z } from 'zod/v4'
import type { MaxCost, UsageSummary } from '../wire.ts'
import { defineTool, type Tool } from './define-tool.ts'
import { costText } from './run-task.ts'
import { money, noInput } from './schemas.ts'

/** Data of `get_usage`: the session's usage, and its cap if it has one. */
export interface GetUsageData {
  usage: UsageSummary
  maxCost?: MaxCost
  /** Cents until the cap is reached; never below 0. */
  remainingCents?: number
}

const output: z.ZodType<GetUsageData> = z
  .object({
    usage: z.object({ total: money }).passthrough(),
    maxCost: money.optional(),
    remainingCents: z.number().optional(),
  })
  .passthrough() as unknown as z.ZodType<GetUsageData> // unknown fields pass: a newer server may send more

/**
 * Reports the cost of the session, and how much is left until its cap.
 *
 * @example
 * ```ts
 * import { getUsage } from '@theazo/core/tools'
 *
 * const { text } = await getUsage.run({}, { sandbox: agent, account: { usage: theazo.usage, session } })
 * ```
 */
export const getUsage: Tool<'get_usage', Record<string, never>, GetUsageData> = defineTool({
  name: 'get_usage',
  title: 'Get usage',
  description: "Report what this user's sandboxes have cost so far, and how much of the budget is left.",
  input: noInput,
  output,
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  async run(_input, { account, signal }) {
    const { usage, session } = await account()
    await session.refresh({ signal })
    const { maxCost } = session.data.limits
    const from = maxCost ? periodStart(maxCost.period, session.data.createdAt) : session.data.createdAt
    const summary = await usage.summary({ sessionId: session.id, from, signal })
    if (!maxCost) return { usage: summary }
    return { usage: summary, maxCost, remainingCents: Math.max(0, maxCost.amount - summary.total.amount) }
  },
  toText({ usage: { total, compute, models }, maxCost, remainingCents = 0 }) {
    const spent = `${costText(total)} (compute ${costText(compute.cost)}, models ${costText(models.cost)})`
    if (!maxCost) return `Spent: ${spent}. There is no cap.`
    const cap = `${costText(maxCost)} ${maxCost.period === 'session' ? 'in total' : `a ${maxCost.period}`}`
    return `Spent: ${spent}. The cap is ${cap}; ${costText({ amount: remainingCents, currency: 'usd' })} are left.`
  },
})

/** Periods are UTC days and months (contract, Sessions). */
function periodStart(period: MaxCost['period'], sessionStart: string): string | Date {
  const now = new Date()
  if (period === 'session') return sessionStart
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), period === 'day' ? now.getUTCDate() : 1))
}
