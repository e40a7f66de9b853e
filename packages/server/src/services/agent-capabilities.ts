import type { CreateAgentBody } from '@theazo/core'
import { builtInTools, mockedTools } from '../engine/tools.ts'
import { ApiError } from '../errors.ts'
import type { Mode } from '../store/tables.ts'

/** Options of new agents that this server supports. */
export interface AgentCapabilities {
  /** The first is the default. */
  providers: readonly string[]
  /** `any`: every id is accepted and returned unchanged. */
  models: readonly string[] | 'any'
  hasBrowser: boolean
  /** Names of the available tools. */
  tools: readonly string[]
  /** Tools of an agent that is created without `tools`. */
  defaultTools: readonly string[]
}

/** Capabilities by mode: for live keys the real ones, for test keys everything that the reference names. */
export const capabilities: Record<Mode, AgentCapabilities> = {
  live: { providers: ['local'], models: [], hasBrowser: false, tools: builtInTools, defaultTools: builtInTools },
  test: {
    providers: ['local', 'docker', 'e2b', 'fly'],
    models: 'any',
    hasBrowser: true,
    tools: [...builtInTools, ...mockedTools],
    defaultTools: builtInTools,
  },
}

/** Maximum characters of a name in an error, and maximum number of names. */
const maxShown = 40

/** @throws {ApiError} 422 that lists the supported values of each unsupported field. */
export function assertSupported(
  supported: AgentCapabilities,
  { compute, model, browser, tools }: CreateAgentBody,
): void {
  const fields: Record<string, string[]> = {}
  if (compute && !supported.providers.includes(compute.provider)) {
    const available = quoted(supported.providers)
    fields['compute.provider'] = [`${quoted([compute.provider])} is not configured on this server; it has ${available}`]
  }
  if (model && supported.models !== 'any' && !supported.models.includes(model.id)) {
    const available = supported.models.length > 0 ? quoted(supported.models) : 'no models'
    fields['model.id'] = [`${quoted([model.id])} is not configured on this server; it has ${available}`]
  }
  if (browser && !supported.hasBrowser) {
    fields['browser'] = ['is not configured on this server; omit it or send false']
  }
  const unknown = tools?.filter((tool) => !supported.tools.includes(tool)) ?? []
  if (unknown.length > 0) {
    const verb = unknown.length === 1 ? 'is' : 'are'
    fields['tools'] = [`${quoted(unknown)} ${verb} not configured on this server; it has ${quoted(supported.tools)}`]
  }
  if (Object.keys(fields).length > 0) throw ApiError.invalid(fields)
}

/** Quotes and shortens names: a name may be as long as the body, and must not be repeated in full. */
function quoted(names: readonly string[]): string {
  const short = (name: string): string => (name.length > maxShown ? `${name.slice(0, maxShown)}…` : name)
  const shown = names.slice(0, maxShown).map((name) => `'${short(name)}'`)
  return shown.join(', ') + (names.length > maxShown ? ` and ${names.length - maxShown} more` : '')
}
