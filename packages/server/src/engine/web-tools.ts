import type { HostPattern } from '../network/host-pattern.ts'
import type { EngineTool } from './engine-tool.ts'
import { fromCatalog } from './tool-registry.ts'
import { httpRequestTool } from './web/http-request.ts'
import { withTextFields } from './web/text-fields.ts'
import { type WebSearchOptions, webSearchTool } from './web/web-search.ts'

/**
 * The tools that reach the internet from the server, outside of the sandbox. An agent has them only if it asks for them.
 *
 * @param operator hosts that the operator allows; undefined: no agent may use the network.
 */
export function webTools(operator: readonly HostPattern[] | undefined, search: WebSearchOptions = {}): EngineTool[] {
  const webSearch = webSearchTool(search)
  return [...(operator ? [requestTool(operator)] : []), ...(webSearch ? [fromCatalog(webSearch)] : [])]
}

/** `http_request` to the hosts of the agent's `network.allow`; without that list, to all hosts that the operator allows. */
function requestTool(operator: readonly HostPattern[]): EngineTool {
  const tool = fromCatalog(httpRequestTool({ operator }))
  return {
    ...tool,
    inputFault: (input) => tool.inputFault?.(withTextFields(input)),
    async run(input, context) {
      const { allow } = context
      const own = allow === undefined ? tool : fromCatalog(httpRequestTool({ operator, allow }))
      return await own.run(input, context)
    },
  }
}
