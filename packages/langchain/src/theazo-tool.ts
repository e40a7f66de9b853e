import type { CallbackManagerForToolRun } from '@langchain/core/callbacks/manager'
import { type ContentBlock, ToolMessage } from '@langchain/core/messages'
import {
  DynamicStructuredTool,
  ToolInputParsingException,
  type ToolSchemaBase,
  type ToolRunnableConfig,
} from '@langchain/core/tools'
import type { TheazoError } from '@theazo/core'
import {
  type AnyTool,
  inputSchemaOf,
  modelText,
  parseToolInput,
  type ToolImage,
  ToolInputError,
  type ToolSource,
  unknownModel,
  withoutImages,
} from '@theazo/core/tools'
import { takesToolImages } from './takes-tool-images.ts'

/** In a graph LangGraph sets both, outside of one only `toolCall`; a bare call has neither. */
type CallConfig = ToolRunnableConfig & { toolCallId?: string; state?: unknown }

/** A tool of the catalog as LangChain takes it. */
// The class itself and not tool(): it leaks no abort listener, and costs a sixth of a call.
export class TheazoTool extends DynamicStructuredTool {
  readonly #check: (input: unknown) => Record<string, unknown>

  constructor(tool: AnyTool, { sandbox, account }: ToolSource, images: boolean | undefined) {
    const schema = inputSchemaOf(tool, { isStrict: true })
    super({
      name: tool.name,
      description: tool.description,
      schema: schema as ToolSchemaBase, // a plain JSON Schema; LangChain types it more widely
      responseFormat: 'content_and_artifact',
      func: async (input: unknown, _run?: CallbackManagerForToolRun, config?: CallConfig) => {
        const callId = config?.toolCall?.id ?? config?.toolCallId
        const result = await tool.run(input, {
          sandbox,
          account,
          signal: config?.signal,
          callId,
          images: images ?? (takesToolImages(config?.state) || unknownModel),
        })
        if (result.isError) return [errorMessage(tool.name, result, callId), undefined]
        return [contentOf(result), withoutImages(result.data)]
      },
    })
    this.#check = (input) => {
      const checked: Record<string, unknown> = parseToolInput(tool, input)
      // In the strict form of the schema nothing may be left out.
      return Object.fromEntries(schema.required.map((name) => [name, checked[name] ?? null]))
    }
  }

  /** LangChain's entry to a call: what the model sent is read here, before LangChain holds it against the schema. */
  override async call(...[input, ...rest]: Parameters<DynamicStructuredTool['call']>): Promise<unknown> {
    return await super.call(this.#checked(input) as typeof input, ...rest)
  }

  #checked(input: unknown): Record<string, unknown> {
    try {
      return this.#check(input)
    } catch (error) {
      if (!ToolInputError.isInstance(error)) throw error
      // Both ToolNodes answer the model with its message, whatever middleware there is.
      throw new ToolInputParsingException(error.message)
    }
  }
}

function contentOf({ text, images }: { text: string; images: ToolImage[] }): string | ContentBlock[] {
  if (images.length === 0) return text
  const blocks = images.map(({ mediaType, base64 }) => ({ type: 'image', mimeType: mediaType, data: base64 }))
  return [{ type: 'text', text }, ...blocks]
}

/** Returned as a message and not thrown: with any `wrapToolCall` middleware a throw would end the user's whole run. */
function errorMessage(
  name: string,
  { text, error }: { text: string; error: TheazoError },
  callId: string | undefined,
): ToolMessage {
  const { code, message, requestId, isRetryable } = error
  return new ToolMessage({
    status: 'error',
    name,
    content: text,
    artifact: { error: { code, message: modelText(message), ...(requestId && { requestId }), retryable: isRetryable } },
    tool_call_id: callId ?? '',
  })
}
