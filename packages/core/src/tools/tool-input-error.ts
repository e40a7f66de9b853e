import { TheazoError } from '../errors.ts'

/** The input of a tool is invalid. The message tells the model how to correct it. */
export class ToolInputError extends TheazoError {
  static override readonly className = 'ToolInputError'
  declare readonly name: 'ToolInputError'

  constructor(message: string) {
    super(message, { code: 'tool_input' })
  }
}
