import type { CreateAgentBody, CreateAgentExtensions } from '@theazo/core'
import { runCode } from '@theazo/core/tools'
import type { ModelCatalog } from '../engine/models/model-catalog.ts'
import { sandboxTools } from '../engine/tool-registry.ts'
import { ApiError } from '../errors.ts'
import type { Mode } from '../store/tables.ts'

/** Options of new agents that this server supports. */
export interface AgentCapabilities {
  /** The first is the default. */
  providers: readonly string[]
  /** `any`: every id is accepted and returned unchanged. */
  models: ModelCatalog | 'any'
  hasBrowser: boolean
  /** Names of the available tools. */
  tools: readonly string[]
  /** Tools of an agent that is created without `tools`. */
  defaultTools: readonly string[]
}

/** Capabilities by mode: for live keys the real ones, for test keys everything that the reference names. */
export function capabilitiesOf(
  models: ModelCatalog,
  tools: Record<Mode, readonly string[]>,
): Record<Mode, AgentCapabilities> {
  return {
    live: { providers: ['local'], models, hasBrowser: false, tools: tools.live, defaultTools: defaultTools.live },
    test: {
      providers: ['local', 'docker', 'e2b', 'fly'],
      models: 'any',
      hasBrowser: true,
      tools: tools.test,
      defaultTools: defaultTools.test,
    },
  }
}

/** The scripted model of test keys calls the first tool only. */
const defaultTools: Record<Mode, readonly string[]> = {
  live: sandboxTools.map(({ name }) => name),
  test: [runCode.name],
}

/** Maximum characters of a name in an error, and maximum number of names. */
const maxShown = 40

/** @throws {ApiError} 422 that lists the supported values of each unsupported field. */
export function assertSupported(
  supported: AgentCapabilities,
  { compute, model, browser, tools, approvals }: CreateAgentBody & CreateAgentExtensions,
): void {
  const fields: Record<string, string[]> = {}
  if (compute && !supported.providers.includes(compute.provider)) {
    const available = quoted(supported.providers)
    fields['compute.provider'] = [`${quoted([compute.provider])} is not configured on this server; it has ${available}`]
  }
  if (model && supported.models !== 'any') {
    const fault = supported.models.faultOf(model.id)
    if (fault !== undefined) fields['model.id'] = [`${quoted([model.id])} ${fault}`]
  }
  if (browser && !supported.hasBrowser) {
    fields['browser'] = ['is not configured on this server; omit it or send false']
  }
  const unknown = tools?.filter((tool) => !supported.tools.includes(tool)) ?? []
  if (unknown.length > 0) {
    const verb = unknown.length === 1 ? 'is' : 'are'
    fields['tools'] = [
      `${quoted(unknown)} ${verb} not configured on this server; it has ${quoted(supported.tools)}${hintFor(unknown)}`,
    ]
  }
  const own = tools ?? supported.defaultTools
  const foreign = approvals?.filter((tool) => !own.includes(tool)) ?? []
  if (foreign.length > 0) {
    fields['approvals'] = [`must name tools of the agent: it has ${quoted(own)}, but not ${quoted(foreign)}`]
  }
  if (Object.keys(fields).length > 0) throw ApiError.invalid(fields)
}

/** What the operator would have to set, for the tools that the reference names. */
function hintFor(tools: readonly string[]): string {
  if (tools.some((name) => name.startsWith('mcp:'))) return '; the operator adds MCP servers with --mcp-config'
  if (!tools.includes('web_search')) return ''
  return '; web_search needs BRAVE_SEARCH_API_KEY, TAVILY_API_KEY or SEARXNG_URL on the server'
}

/** Quotes and shortens names: a name may be as long as the body, and must not be repeated in full. */
function quoted(names: readonly string[]): string {
  const short = (name: string): string => (name.length > maxShown ? `${name.slice(0, maxShown)}…` : name)
  const shown = names.slice(0, maxShown).map((name) => `'${short(name)}'`)
  return shown.join(', ') + (names.length > maxShown ? ` and ${names.length - maxShown} more` : '')
}
