import type { CreateAgentBody, CreateAgentExtensions } from '@theazo/core'
import { ApiError } from '../errors.ts'
import { isCovered, patternsOf } from '../network/host-pattern.ts'
import type { AgentRow } from '../store/tables.ts'

/**
 * What the agent that has a name already must have in common with what is asked for under that name (contract, `agents`):
 * what its sandbox is and may reach. What is not asked for is not compared.
 *
 * @throws {ApiError} 409 that names each field which differs.
 */
export function assertSameAgent(row: AgentRow, body: CreateAgentBody & CreateAgentExtensions): void {
  const { compute, model, browser, network } = body
  const fields: Record<string, string[]> = {}
  const differs = (field: string, own: string): void => {
    fields[field] = [`differs from the agent's own: ${own}`]
  }
  if (compute && compute.provider !== row.provider) differs('compute', `provider '${row.provider}'`)
  if (model && model.id !== row.model_id) differs('model', row.model_id === null ? 'no model' : `'${row.model_id}'`)
  if (browser !== undefined && browser !== (row.browser === 1)) differs('browser', browser ? 'no browser' : 'a browser')
  if (network) {
    const own = ownNetwork(row)
    if (!isSameReach(own, network.allow))
      differs('network', `it reaches ${own.length > 0 ? own.join(', ') : 'nothing'}`)
  }
  const names = Object.keys(fields)
  if (names.length === 0) return
  throw new ApiError(
    'conflict',
    `Agent ${row.id} has the name '${row.name}' and another ${names.join(', ')} than was asked for. ` +
      'Leave that out to get this agent, ask for another name, or terminate the agent first.',
    { details: { agentId: row.id, fields } },
  )
}

function ownNetwork({ network }: AgentRow): readonly string[] {
  const own: CreateAgentExtensions['network'] = network === null ? undefined : JSON.parse(network)
  return own?.allow ?? []
}

/** True if each list allows what the other allows, however it is written. */
function isSameReach(a: readonly string[], b: readonly string[]): boolean {
  const [one, other] = [patternsOf(a), patternsOf(b)]
  return one.every((pattern) => isCovered(other, pattern)) && other.every((pattern) => isCovered(one, pattern))
}
