import type { Agent } from '../agent.ts'
import { NotFoundError } from '../errors.ts'
import { isEnded } from './sandbox-lifecycle.ts'

/** Reads an agent from the server. @returns why it is gone; undefined if it is not, or if the server does not respond. */
export async function lossOf(agent: Agent): Promise<string | undefined> {
  try {
    await agent.refresh()
  } catch (error) {
    return NotFoundError.isInstance(error) ? 'the server no longer knows it' : undefined // the next call finds out
  }
  if (!isEnded(agent)) return undefined
  const { status, reason } = agent.data
  return `it has ${status === 'failed' ? 'failed' : 'been terminated'}${because(reason)}`
}

/** True if the agent's own loop works on a task. */
export async function isAtWork(agent: Agent): Promise<boolean> {
  return await agent.refresh().then(
    ({ data }) => data.status === 'running',
    () => false,
  )
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : ` (${reason.replace(/\.$/, '')})`
}
