import type { HostPattern } from '../network/host-pattern.ts'
import type { EngineTool } from './engine-tool.ts'
import { fromCatalog } from './tool-registry.ts'
import { httpRequestTool } from './web/http-request.ts'
import { webSearchFrom } from './web/web-search.ts'

/** The search service of `web_search`. If several are given, the first of these is used. */
export interface WebSearchOptions {
  braveApiKey?: string | undefined
  /** Default: the service's own address. */
  braveBaseUrl?: string | undefined
  tavilyApiKey?: string | undefined
  /** Default: the service's own address. */
  tavilyBaseUrl?: string | undefined
  /** An instance of SearXNG that serves JSON. */
  searxngUrl?: string | undefined
}

/**
 * The tools that reach the internet from the server, outside of the sandbox. An agent has them only if it asks for them.
 *
 * @param operator hosts that the operator allows; undefined: no agent may use the network.
 */
export function webTools(operator: readonly HostPattern[] | undefined, search: WebSearchOptions = {}): EngineTool[] {
  const webSearch = webSearchFrom({
    BRAVE_SEARCH_API_KEY: search.braveApiKey,
    BRAVE_SEARCH_BASE_URL: search.braveBaseUrl,
    TAVILY_API_KEY: search.tavilyApiKey,
    TAVILY_BASE_URL: search.tavilyBaseUrl,
    SEARXNG_URL: search.searxngUrl,
  })
  return [...(operator ? [requestTool(operator)] : []), ...(webSearch ? [fromCatalog(webSearch)] : [])]
}

/** `http_request` to the hosts of the agent's `network.allow`; without that list, to all hosts that the operator allows. */
function requestTool(operator: readonly HostPattern[]): EngineTool {
  const tool = fromCatalog(httpRequestTool({ operator }))
  return {
    ...tool,
    async run(input, context) {
      const { allow } = context
      const own = allow === undefined ? tool : fromCatalog(httpRequestTool({ operator, allow }))
      return await own.run(input, context)
    },
  }
}
