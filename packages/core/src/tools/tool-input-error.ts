import { TheazoError } from '../errors.ts'

/** A model used a tool wrongly; the message says how to use it. */
export class ToolInputError extends TheazoError {
  static override readonly className = 'ToolInputError'
  declare readonly name: 'ToolInputError'

  constructor(message: string) {
    super(message, { code: 'tool_input' })
  }
}
