import { ErrorCode } from '@modelcontextprotocol/sdk/types.js'
import { modelText } from '@theazo/core/tools'

/** Messages repeat the URI of the request, which may have any length. */
const maxMessageChars = 1000

/** Why a request is refused. */
export type RequestErrorReason = 'not_found' | 'invalid' | 'internal'

/** The JSON-RPC code of each reason. The SDK does not define -32002, which MCP uses for an unknown resource. */
const codes: Readonly<Record<RequestErrorReason, number>> = {
  not_found: -32002,
  invalid: ErrorCode.InvalidParams,
  internal: ErrorCode.InternalError,
}

/** A refused request. The SDK's `McpError` is not used: it adds a prefix to the message, and the client adds another. */
export class RequestError extends Error {
  /** The SDK sends it as the code of the JSON-RPC error. */
  readonly code: number

  constructor(reason: RequestErrorReason, message: string, options?: ErrorOptions) {
    super(modelText(message, '(no message)', maxMessageChars), options)
    this.name = 'RequestError'
    this.code = codes[reason]
  }
}
