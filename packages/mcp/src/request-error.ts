import { modelText } from '@theazo/core/tools'

/** Messages repeat the URI of the request, which may have any length. */
const maxMessageChars = 1000

/** Why a request is refused. */
export type RequestErrorReason = 'not_found' | 'invalid' | 'internal'

/** The JSON-RPC code of each reason. */
const codes: Readonly<Record<RequestErrorReason, number>> = {
  not_found: -32_002,
  invalid: -32_602,
  internal: -32_603,
}

/** A refused request. The errors of the SDKs are not used: they add a prefix to the message, and the client adds another. */
export class RequestError extends Error {
  /** Both SDKs send it as the code of the JSON-RPC error. */
  readonly code: number

  constructor(reason: RequestErrorReason, message: string, options?: ErrorOptions) {
    super(modelText(message, '(no message)', maxMessageChars), options)
    this.name = 'RequestError'
    this.code = codes[reason]
  }
}

/** The error of a request as its client receives it. An unexpected one goes to `onError`; the client gets no text of it. */
export function errorForClient(error: unknown, onError: (error: unknown) => void): RequestError {
  if (error instanceof RequestError) return error
  onError(error)
  return new RequestError('internal', 'Internal error.')
}
