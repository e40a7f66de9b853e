import type { CreateAgentBody } from '@theazo/core'
import { builtInTools, mockedTools } from '../engine/tools.ts'
import { ApiError } from '../errors.ts'
import type { Mode } from '../store/tables.ts'

/** What agents can be made with. */
export interface AgentOffer {
  /** The first is the default. */
  providers: readonly string[]
  /** `any` where a model's id is only told back. */
  models: readonly string[] | 'any'
  hasBrowser: boolean
  /** Names that may be asked for. */
  tools: readonly string[]
  /** Those of an agent that asks for none. */
  defaultTools: readonly string[]
}

/** What this server can give: on live keys what is real, on test keys all that the reference names. */
export const offers: Record<Mode, AgentOffer> = {
  live: { providers: ['local'], models: [], hasBrowser: false, tools: builtInTools, defaultTools: builtInTools },
  test: {
    providers: ['local', 'docker', 'e2b', 'fly'],
    models: 'any',
    hasBrowser: true,
    tools: [...builtInTools, ...mockedTools],
    defaultTools: builtInTools,
  },
}

/** Characters of a name, and names, that an error tells. */
const maxTold = 40

/** @throws {ApiError} 422 that names, for each field, what there is. */
export function assertOffered(offer: AgentOffer, { compute, model, browser, tools }: CreateAgentBody): void {
  const fields: Record<string, string[]> = {}
  if (compute && !offer.providers.includes(compute.provider)) {
    const message = `${quoted([compute.provider])} is not configured on this server; it has ${quoted(offer.providers)}`
    fields['compute.provider'] = [message]
  }
  if (model && offer.models !== 'any' && !offer.models.includes(model.id)) {
    const there = offer.models.length > 0 ? quoted(offer.models) : 'no models'
    fields['model.id'] = [`${quoted([model.id])} is not configured on this server; it has ${there}`]
  }
  if (browser && !offer.hasBrowser) {
    fields['browser'] = ['is not configured on this server; leave it out or give false']
  }
  const unknown = tools?.filter((tool) => !offer.tools.includes(tool)) ?? []
  if (unknown.length > 0) {
    fields['tools'] = [`${quoted(unknown)} not configured on this server; it has ${quoted(offer.tools)}`]
  }
  if (Object.keys(fields).length > 0) throw ApiError.invalid(fields)
}

/** Shortened: what was sent may be as long as a body, and is not to come back twice. */
function quoted(names: readonly string[]): string {
  const told = names.slice(0, maxTold).map((name) => `'${name.length > maxTold ? `${name.slice(0, maxTold)}…` : name}'`)
  return told.join(', ') + (names.length > maxTold ? ` and ${names.length - maxTold} more` : '')
}
