import { type ContentBlock, ToolMessage } from '@langchain/core/messages'
import type { RunnableConfig } from '@langchain/core/runnables'
import { DynamicStructuredTool, type StructuredToolInterface, type ToolRunnableConfig } from '@langchain/core/tools'
import type { TheazoError } from '@theazo/core'
import { runCode, type SandboxSource, type Tool, type ToolImage, withoutPictures } from '@theazo/core/tools'

/** What the tools work on. */
export interface TheazoToolsOptions {
  /** The sandbox that every call runs in, or a function that gives it; used as it is and never terminated here. */
  agent: SandboxSource
}

/** A tool that LangChain's agents, LangGraph's `ToolNode` and `model.bindTools` take. */
export type TheazoLangChainTool = StructuredToolInterface

/**
 * The Theazo tools for LangChain: today `run_code`.
 *
 * The content of a result is text for the model, with pictures as blocks beside it; its artifact is the typed data (plain
 * JSON, no pictures). A fault of the API becomes a
 * `ToolMessage` with status `error`, so that the model can react; an abort rejects.
 *
 * @example
 * ```ts
 * await using agent = await session.agents.create()
 * const assistant = createAgent({ model, tools: createTheazoTools({ agent }) })
 * ```
 */
export function createTheazoTools({ agent }: TheazoToolsOptions): TheazoLangChainTool[] {
  return [toLangChainTool(runCode, agent)]
}

// The class itself and not tool(): it leaks no abort listener, and costs a sixth of a call.
function toLangChainTool<Input, Data extends object>(
  tool: Tool<string, Input, Data>,
  sandbox: SandboxSource,
): TheazoLangChainTool {
  return new DynamicStructuredTool({
    name: tool.name,
    description: tool.description,
    schema: tool.input,
    responseFormat: 'content_and_artifact',
    func: async (input, _runManager, config) => {
      const result = await tool.run(input, { sandbox, signal: config?.signal })
      if (result.isError) return [errorMessage(tool.name, result, config), undefined]
      return [contentOf(result), withoutPictures(result.data)]
    },
  })
}

function contentOf({ text, images }: { text: string; images: ToolImage[] }): string | ContentBlock[] {
  if (images.length === 0) return text
  const pictures = images.map(({ mediaType, base64 }) => ({ type: 'image', mimeType: mediaType, data: base64 }))
  return [{ type: 'text', text }, ...pictures]
}

/** Told as a message and not thrown: with any `wrapToolCall` middleware a throw would end the user's whole run. */
function errorMessage(
  name: string,
  { text, error }: { text: string; error: TheazoError },
  config: RunnableConfig | undefined,
): ToolMessage {
  const { code, message, requestId, isRetryable } = error
  return new ToolMessage({
    status: 'error',
    name,
    content: text,
    artifact: { error: { code, message, ...(requestId && { requestId }), retryable: isRetryable } },
    tool_call_id: toolCallId(config) ?? '',
  })
}

/** In a graph LangChain sets both, outside only `toolCall`; a bare call has neither. */
function toolCallId(config: (ToolRunnableConfig & { toolCallId?: string }) | undefined): string | undefined {
  return config?.toolCall?.id ?? config?.toolCallId
}
