import { TheazoError } from '@theazo/core'

/**
 * A fault of the API in a tool call, with the catalog's advice for the model in its message. It has the code of the
 * fault; the fault itself is its `cause`.
 */
export class TheazoToolError extends TheazoError {
  static override readonly className = 'TheazoToolError'
  declare readonly name: 'TheazoToolError'

  constructor(text: string, fault: TheazoError) {
    const { code, status, requestId, details, retryAfterMs } = fault
    super(text, { code, status, requestId, details, retryAfterMs, cause: fault })
  }

  /** The AI SDK shows this to the model; the text names the fault itself. */
  override toString(): string {
    return this.message
  }
}
