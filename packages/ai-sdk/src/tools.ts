import {
  type SelectToolsOptions,
  selectTools,
  toolSource,
  type ToolSourceOptions,
  unknownModel,
} from '@theazo/core/tools'
import type { LanguageModel } from 'ai'
import type { ApprovalRule } from './approval.ts'
import { acceptsToolImages } from './accepts-tool-images.ts'
import { aiTool } from './ai-tool.ts'
import type { OfferedTools } from './tool-set.ts'

/** The sandbox of the tools (exactly one of `userId`, `session` and `agent`), and the tools of the catalog to offer. */
export interface TheazoToolsOptions extends ToolSourceOptions, SelectToolsOptions {
  /** The model that uses the tools. It decides the default of `images`. */
  model?: LanguageModel | undefined
  /**
   * True: the model receives images. False: the text only names them, as a model without vision needs. Default: true if
   * the provider of `model` is known to accept images from tools, else false, because `openai.chat` and compatible
   * providers send the base64 of an image as text.
   */
  images?: boolean | undefined
  /**
   * Milliseconds from one preliminary result of `run_code` and `run_task` to the next. Default 200. With
   * `Number.POSITIVE_INFINITY` there are none.
   */
  liveIntervalMs?: number | undefined
  /**
   * Which calls a user must approve, as `needsApproval` of the tools. Default `none`. AI SDK 7 prefers its option
   * `toolApproval`: see `theazoApproval`.
   */
  approval?: ApprovalRule | undefined
}

const defaultLiveIntervalMs = 200

/**
 * Creates the Theazo tools for the AI SDK.
 *
 * The output of a tool is typed data. The model receives text, followed by images. While `run_code` and `run_task` run,
 * they yield what they have done so far as preliminary results; the last result is complete. An API error is thrown as a
 * `TheazoToolError`, which the AI SDK sends to the model as a tool error; its text is safe to show to a user. An abort of
 * the call (`abortSignal`, `timeout`) kills the code.
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
  const { model, images, liveIntervalMs = defaultLiveIntervalMs, approval = 'none' } = options as TheazoToolsOptions
  const sendImages = images ?? (model !== undefined && acceptsToolImages(model) ? true : unknownModel)
  const toolOptions = { source, images: sendImages, liveIntervalMs, approval }
  const tools = selectTools(options).map((tool) => [tool.name, aiTool(tool, toolOptions)])
  return Object.fromEntries(tools) as OfferedTools<Options> // OfferedTools selects the same names
}
