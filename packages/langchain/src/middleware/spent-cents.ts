import type { ToolSource } from '@theazo/core/tools'
import { configurationError } from '../configuration-error.ts'

/**
 * Cents that the session of a sandbox has cost since it exists.
 *
 * @throws {ConfigurationError} if the sandbox has no session; {@link TheazoError} of the request.
 */
export async function spentCents({ account }: ToolSource, signal: AbortSignal | undefined): Promise<number> {
  const found = await account()
  if (!found) throw configurationError('maxCostCents needs a sandbox of the client, whose session has the cost.')
  const { usage, session } = found
  const { total } = await usage.summary({ sessionId: session.id, from: session.data.createdAt, signal })
  return total.amount
}
