import {
  type AnyTool,
  hiddenImagesText,
  inputSchemaOf,
  parseToolInput,
  type SelectToolsOptions,
  selectTools,
  ToolInputError,
  type ToolSource,
  toolSource,
  type ToolSourceOptions,
  unknownModel,
} from '@theazo/core/tools'
import { jsonSchema, type LanguageModel, type Schema } from 'ai'
import { takesToolImages } from './takes-tool-images.ts'
import { TheazoToolError } from './tool-error.ts'
import type { OfferedTools } from './tool-set.ts'

/** Where the tools work, and which of the catalog are offered. */
export interface TheazoToolsOptions extends ToolSourceOptions, SelectToolsOptions {
  /** The model that is given the tools: images are shown to one that is known to take them from tools. */
  model?: LanguageModel | undefined
  /**
   * True: images are shown to the model. False: they are only named. Default: what `model` takes, and false without one,
   * since `openai.chat` and compatible providers send the base64 of an image as text.
   */
  images?: boolean | undefined
}

/**
 * The Theazo tools for the AI SDK.
 *
 * The output is typed data; the model is shown text, and images beside it. A fault of the API is thrown as a
 * {@link TheazoToolError}, which the AI SDK shows the model as a tool error; an abort of the call (`abortSignal`, `timeout`)
 * kills the code.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given, or a tool is unknown.
 * @example
 * ```ts
 * const tools = theazoTools({ userId: 'user_123', model })
 * const { text } = await generateText({ model, prompt, tools, stopWhen: isStepCount(10) })
 * ```
 */
export function theazoTools<const Options extends TheazoToolsOptions>(options: Options): OfferedTools<Options> {
  const source = toolSource(options)
  const { model, images } = options as TheazoToolsOptions
  const shown = images ?? (model !== undefined && takesToolImages(model) ? true : unknownModel)
  const tools = selectTools(options).map((tool) => [tool.name, toAiSdkTool(tool, source, shown)])
  return Object.fromEntries(tools) as OfferedTools<Options> // the names are those that the options select
}

/** What the model is shown, in the AI SDK's form. */
type ModelOutput =
  | { type: 'text'; value: string }
  | {
      type: 'content'
      value: (
        | { type: 'text'; text: string }
        | { type: 'file'; mediaType: string; data: { type: 'data'; data: string } }
      )[]
    }

function toAiSdkTool(tool: AnyTool, { sandbox, account }: ToolSource, images: boolean | string) {
  return {
    description: tool.description,
    inputSchema: inputSchema(tool),
    outputSchema: tool.output,
    async execute(
      input: unknown,
      { abortSignal, toolCallId }: { abortSignal?: AbortSignal | undefined; toolCallId: string },
    ): Promise<unknown> {
      const result = await tool.run(input, { sandbox, account, signal: abortSignal, callId: toolCallId, images })
      if (result.isError) throw new TheazoToolError(result.text, result.error)
      return result.data
    },
    toModelOutput: ({ output }: { output: unknown }): ModelOutput => modelOutput(tool, output, images),
  }
}

function modelOutput(tool: AnyTool, output: unknown, images: boolean | string): ModelOutput {
  // An output of an older version may come from a stored conversation; a throw here would end the whole call.
  const parsed = tool.output.safeParse(output)
  if (!parsed.success) return { type: 'text', value: `[a result of ${tool.name} that cannot be read any more]` }
  const text = tool.toText(parsed.data)
  const made = tool.toImages?.(parsed.data) ?? []
  if (made.length === 0) return { type: 'text', value: text }
  if (images !== true) {
    // Made when images were shown, by another model of this conversation.
    const reason = images === false ? 'images are switched off here' : images
    return { type: 'text', value: `${text}\n${hiddenImagesText(made.map(({ path }) => ({ path, reason })))}` }
  }
  const files = made.map(({ mediaType, base64 }) => {
    return { type: 'file' as const, mediaType, data: { type: 'data' as const, data: base64 } }
  })
  return { type: 'content', value: [{ type: 'text', text }, ...files] }
}

const schemas = new WeakMap<AnyTool, Schema<unknown>>()

/** Made once a tool: the model is shown the strict form, and what it sends is read by the catalog. */
function inputSchema(tool: AnyTool): Schema<unknown> {
  const known = schemas.get(tool)
  if (known) return known
  const schema = jsonSchema<unknown>(inputSchemaOf(tool, { isStrict: true }), {
    validate(value) {
      try {
        return { success: true, value: parseToolInput(tool, value) }
      } catch (error) {
        if (!ToolInputError.isInstance(error)) throw error
        return { success: true, value } // the AI SDK's own error repeats all of it; execute answers with ours
      }
    },
  })
  schemas.set(tool, schema)
  return schema
}
