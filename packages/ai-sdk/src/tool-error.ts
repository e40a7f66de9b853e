import { TheazoError } from '@theazo/core'

/**
 * An API error of a tool call. Its message contains advice for the model. It has the `code`, `status` and other fields of
 * the original error, which is its `cause`.
 *
 * @example
 * ```ts
 * import { TheazoToolError, theazoTools } from '@theazo/ai-sdk'
 * import { generateText, type LanguageModel } from 'ai'
 *
 * export async function errorCodes(model: LanguageModel, prompt: string): Promise<string[]> {
 *   const { steps } = await generateText({ model, prompt, tools: theazoTools({ userId: 'user_123', model }) })
 *   const parts = steps.flatMap(({ content }) => content).filter((part) => part.type === 'tool-error')
 *   return parts.flatMap(({ error }) => (TheazoToolError.isInstance(error) ? [error.code] : []))
 * }
 * ```
 */
export class TheazoToolError extends TheazoError {
  static override readonly className = 'TheazoToolError'
  declare readonly name: 'TheazoToolError'

  constructor(text: string, cause: TheazoError) {
    const { code, status, requestId, details, retryAfterMs } = cause
    super(text, { code, status, requestId, details, retryAfterMs, cause })
  }

  /** The AI SDK sends this to the model. It omits the class name because the message names the original error. */
  override toString(): string {
    return this.message
  }
}
