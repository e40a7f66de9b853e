import { TheazoError } from '@theazo/core'

/**
 * The error of a tool call. Its message contains advice for the model, and no address, key or stack: the AI SDK 7 shows it
 * in the browser. It has the `code`, `status` and other fields of the original error, which is its `cause`. The code of
 * an error of your own code, such as the function `agent`, is `internal_error`.
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

  constructor(text: string, cause: unknown) {
    const original = TheazoError.isInstance(cause) ? cause : undefined
    const { code = 'internal_error', status, requestId, details, retryAfterMs } = original ?? {}
    super(text, { code, status, requestId, details, retryAfterMs, cause })
  }

  /** The AI SDK sends this to the model. It omits the class name because the message names the original error. */
  override toString(): string {
    return this.message
  }
}

/**
 * Runs the work of a tool. An error becomes a {@link TheazoToolError} whose text is safe to show. After an abort an error
 * stays as it is, because the AI SDK expects the reason of the abort.
 */
export async function safeErrors<Value>(
  tool: string,
  signal: AbortSignal | undefined,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (signal?.aborted || TheazoToolError.isInstance(error)) throw error
    // The catalog returns errors of the API as results. This one is from the caller's own code, and may quote anything.
    const text = `${tool} failed because of an error in this app. Stop using this tool and tell the user.`
    throw new TheazoToolError(text, error)
  }
}
