import { configurationError, type ToolSource } from '@theazo/core/tools'

/** Before every session, so that the whole cost is counted. */
const beginning = '2020-01-01T00:00:00Z'

/**
 * Cents that the session of a sandbox has cost since it exists.
 *
 * @throws {ConfigurationError} if the sandbox has no session; {@link TheazoError} of the request.
 */
export async function spentCents({ account }: ToolSource, signal: AbortSignal | undefined): Promise<number> {
  const found = await account()
  if (!found) throw configurationError('maxCostCents needs a sandbox of the client, whose session has the cost.')
  const { usage, session } = found
  const { total } = await usage.summary({ sessionId: session.id, from: beginning, signal })
  return total.amount
}
