import {
  type AnyTool,
  configurationError,
  selectTools,
  type SelectToolsOptions,
  type ToolName,
} from '@theazo/core/tools'
import { answerSecondsBounds } from './answer-seconds.ts'

/** The tools that a server offers, and how it calls them. */
export interface ToolOptions extends SelectToolsOptions {
  /** False: images are not sent; the text names them. Default true. */
  images?: boolean | undefined
  /**
   * The longest time until a tool call answers, in seconds: 1 to 3600, default 45. A longer call answers with its output
   * so far and a `callId`, and continues; the tool `wait` returns the rest. Many clients give up after about 60 s.
   */
  answerSeconds?: number | undefined
  /**
   * Names of tools that run only after the user has approved the call, by an elicitation of the client. If the client
   * cannot ask, the call is refused. Default: none, because most clients ask by themselves.
   */
  approve?: readonly ToolName[] | undefined
}

/** Tools and settings that are checked and complete. */
export interface CheckedTools {
  tools: readonly AnyTool[]
  images: boolean
  isReadOnly: boolean
  answerSeconds: number
  approve: readonly ToolName[]
}

/** @throws {ConfigurationError} if a tool is unknown, if no tool remains, or if `answerSeconds` is invalid. */
export function checkedTools(options: ToolOptions): CheckedTools {
  const { images = true, readOnly: isReadOnly = false, approve = [] } = options
  const tools = selectTools(options)
  if (tools.length === 0) {
    throw configurationError(
      'The options groups, only and readOnly leave no tool to offer. Remove one of them, or choose another group.',
    )
  }
  selectTools({ only: approve }) // throws for an unknown name
  return { tools, images, isReadOnly, answerSeconds: checkedAnswerSeconds(options.answerSeconds), approve }
}

function checkedAnswerSeconds(seconds: number = answerSecondsBounds.default): number {
  const { min, max } = answerSecondsBounds
  if (Number.isInteger(seconds) && seconds >= min && seconds <= max) return seconds
  throw configurationError(`answerSeconds must be a whole number from ${min} to ${max}, not ${seconds}.`)
}
