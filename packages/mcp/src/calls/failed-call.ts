/** A tool call without a result, because its tool returned an error or the call was stopped. */
export class FailedCall extends Error {
  readonly code: string

  /** @param message the text for the model. */
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'FailedCall'
    this.code = code
  }
}
