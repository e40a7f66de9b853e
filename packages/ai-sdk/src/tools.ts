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
import { acceptsToolImages } from './accepts-tool-images.ts'
import { TheazoToolError } from './tool-error.ts'
import type { OfferedTools } from './tool-set.ts'

/** The sandbox of the tools (exactly one of `userId`, `session` and `agent`), and the tools of the catalog to offer. */
export interface TheazoToolsOptions extends ToolSourceOptions, SelectToolsOptions {
  /** The model that uses the tools. It decides the default of `images`. */
  model?: LanguageModel | undefined
  /**
   * True: the model receives images. False: the text only names them. Default: true if `model` is known to accept images
   * from tools, else false, because `openai.chat` and compatible providers send the base64 of an image as text.
   */
  images?: boolean | undefined
}

/**
 * Creates the Theazo tools for the AI SDK.
 *
 * The output of a tool is typed data. The model receives text, followed by images. An API error is thrown as a
 * {@link TheazoToolError}, which the AI SDK sends to the model as a tool error. An abort of the call (`abortSignal`,
 * `timeout`) kills the code.
 *
 * @throws {ConfigurationError} if not exactly one of `agent`, `session` and `userId` is given, or a tool is unknown.
 * @example
 * ```ts
 * import { theazoTools } from '@theazo/ai-sdk'
 * import { generateText, isStepCount, type LanguageModel } from 'ai'
 *
 * export async function answer(model: LanguageModel, prompt: string): Promise<string> {
 *   const tools = theazoTools({ userId: 'user_123', model })
 *   const { text } = await generateText({ model, prompt, tools, stopWhen: isStepCount(10) })
 *   return text
 * }
 * ```
 */
export function theazoTools<const Options extends TheazoToolsOptions>(options: Options): OfferedTools<Options> {
  const source = toolSource(options)
  const { model, images } = options as TheazoToolsOptions
  const sendImages = images ?? (model !== undefined && acceptsToolImages(model) ? true : unknownModel)
  const tools = selectTools(options).map((tool) => [tool.name, toAiSdkTool(tool, source, sendImages)])
  return Object.fromEntries(tools) as OfferedTools<Options> // OfferedTools selects the same names
}

/** The result for the model, in the AI SDK's format. */
type ModelOutput =
  | { type: 'text'; value: string }
  | {
      type: 'content'
      value: (
        | { type: 'text'; text: string }
        | { type: 'file'; mediaType: string; data: { type: 'data'; data: string } }
      )[]
    }

/** @param images True, false, or the reason why images are not sent. */
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
  // A stored conversation may contain an output of an older version; an error here would end the user's whole call.
  const parsed = tool.output.safeParse(output)
  if (!parsed.success) return { type: 'text', value: `[a stored result of ${tool.name} in an unknown format]` }
  const text = tool.toText(parsed.data)
  const savedImages = tool.toImages?.(parsed.data) ?? []
  if (savedImages.length === 0) return { type: 'text', value: text }
  if (images !== true) {
    // The output contains images because an earlier model of this conversation accepted them.
    const reason = images === false ? 'images are switched off here' : images
    return { type: 'text', value: `${text}\n${hiddenImagesText(savedImages.map(({ path }) => ({ path, reason })))}` }
  }
  const files = savedImages.map(({ mediaType, base64 }) => {
    return { type: 'file' as const, mediaType, data: { type: 'data' as const, data: base64 } }
  })
  return { type: 'content', value: [{ type: 'text', text }, ...files] }
}

const schemas = new WeakMap<AnyTool, Schema<unknown>>()

/** Created once for each tool. The model receives the strict schema; the catalog parses the model's input leniently. */
function inputSchema(tool: AnyTool): Schema<unknown> {
  const cached = schemas.get(tool)
  if (cached) return cached
  const schema = jsonSchema<unknown>(inputSchemaOf(tool, { isStrict: true }), {
    validate(value) {
      try {
        return { success: true, value: parseToolInput(tool, value) }
      } catch (error) {
        if (!ToolInputError.isInstance(error)) throw error
        return { success: true, value } // execute throws the catalog's short error; the AI SDK's error would repeat the whole input
      }
    },
  })
  schemas.set(tool, schema)
  return schema
}
