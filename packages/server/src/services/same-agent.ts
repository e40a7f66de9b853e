import type { CreateAgentBody, CreateAgentExtensions } from '@theazo/core'
import { ApiError } from '../errors.ts'
import { isCovered, patternsOf } from '../network/host-pattern.ts'
import type { AgentRow } from '../store/tables.ts'

/**
 * Checks that an existing agent fits a request to create an agent with its name (contract, `agents`). Compares the
 * provider, the model, the browser and the network; fields that the request omits are not compared.
 *
 * @throws {ApiError} 409 that names each different field.
 */
export function assertSameAgent(row: AgentRow, body: CreateAgentBody & CreateAgentExtensions): void {
  const { compute, model, browser, network } = body
  const fields: Record<string, string[]> = {}
  const differs = (field: string, own: string): void => {
    fields[field] = [`differs from the existing agent: ${own}`]
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
    `Agent ${row.id} already has the name '${row.name}', with a different ${names.join(', ')}. ` +
      'Omit those fields to get this agent, choose another name, or terminate the agent first.',
    { details: { agentId: row.id, fields } },
  )
}

function ownNetwork({ network }: AgentRow): readonly string[] {
  const own: CreateAgentExtensions['network'] = network === null ? undefined : JSON.parse(network)
  return own?.allow ?? []
}

/** True if both lists allow the same hosts, even if they are written differently. */
function isSameReach(a: readonly string[], b: readonly string[]): boolean {
  const [one, other] = [patternsOf(a), patternsOf(b)]
  return one.every((pattern) => isCovered(other, pattern)) && other.every((pattern) => isCovered(one, pattern))
}
