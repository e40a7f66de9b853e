import { runCode } from '@theazo/core/tools'
import type { EngineTool } from './engine-tool.ts'
import { fromCatalog } from './tool-registry.ts'

/** Names of the mocked tools: those of the reference, and the file tools. */
const names = ['web_search', 'http_request', 'read_file', 'write_file', 'edit_file', 'list_files', 'delete_file']

/**
 * The tools of test keys: code runs in the mocked sandbox, the others have mocked results.
 *
 * @param groups names of the tools of MCP servers; each is one mocked tool.
 */
export function mockedTools(groups: readonly string[] = []): EngineTool[] {
  return [fromCatalog(runCode), ...[...names, ...groups].map(mockedTool)]
}

/** A tool of test keys. Its result is the same for every input. */
function mockedTool(name: string): EngineTool {
  return {
    name,
    description: `A mock of ${name}.`,
    inputSchema: { type: 'object', properties: {} },
    isReadOnly: false,
    run: async () => ({ output: `Mocked result of ${name}.`, isError: false }),
  }
}
