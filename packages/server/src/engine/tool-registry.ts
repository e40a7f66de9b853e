import {
  type AnyTool,
  inputSchemaOf,
  parseToolInput,
  type ToolEvent,
  ToolInputError,
  toolGroups,
} from '@theazo/core/tools'
import { type EngineTool, maxTools } from './engine-tool.ts'
import type { McpServers } from './mcp/mcp-servers.ts'
import { withValidNames } from './tool-names.ts'

/** The tools of an agent while it works on a task. */
export interface AgentTools {
  tools: EngineTool[]
  /** Names of the MCP servers that do not answer: their tools are missing. */
  missingServers: string[]
}

/** The tools of a server, by name. */
export class ToolRegistry {
  readonly #tools: ReadonlyMap<string, EngineTool>
  readonly #mcp: McpServers | undefined

  constructor(tools: readonly EngineTool[], mcp?: McpServers) {
    this.#mcp = mcp
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]))
  }

  get names(): string[] {
    return [...this.#tools.keys(), ...(this.#mcp?.groups ?? [])]
  }

  /**
   * The tools with these names, and those of the named MCP servers, at most 128. A name that this server no longer has is
   * left out.
   *
   * @throws the signal's reason.
   */
  async open(names: readonly string[], signal: AbortSignal): Promise<AgentTools> {
    const own = names.flatMap((name) => this.#tools.get(name) ?? [])
    const servers = (await this.#mcp?.open(names, signal)) ?? []
    const foreign = servers.flatMap(({ tools = [] }) => tools)
    const missing = servers.flatMap(({ server, tools }) => (tools ? [] : server))
    return { tools: withValidNames([...own, ...foreign].slice(0, maxTools)), missingServers: missing }
  }
}

/** The catalog's tools for code and files, which run in the agent's sandbox. */
export const sandboxTools: readonly EngineTool[] = [...toolGroups.code, ...toolGroups.files].map((tool) => ({
  ...fromCatalog(tool),
  usesSandbox: true,
}))

/** Converts a tool of `@theazo/core/tools`. */
export function fromCatalog(tool: AnyTool): EngineTool {
  const { name, description, hints } = tool
  return {
    name,
    description,
    inputSchema: inputSchemaOf(tool, { isStrict: true }),
    isReadOnly: hints.readOnly,
    inputFault(input) {
      try {
        parseToolInput(tool, input)
        return undefined
      } catch (error) {
        if (ToolInputError.isInstance(error)) return error.message
        throw error
      }
    },
    async run(given, { sandbox, signal, callId, imagesOff, onOutput }) {
      const onEvent =
        onOutput && ((event: ToolEvent) => (isOutput(event) ? onOutput(event.type, event.text) : undefined))
      const result = await tool.run(given, { sandbox, signal, callId, onEvent, images: imagesOff ?? true })
      if (result.isError) {
        return { output: result.text, isError: true, isInvalid: ToolInputError.isInstance(result.error) }
      }
      return { output: result.text, images: result.images, isError: false }
    },
  }
}

function isOutput(event: ToolEvent): event is Extract<ToolEvent, { type: 'stdout' | 'stderr' }> {
  return event.type === 'stdout' || event.type === 'stderr'
}
