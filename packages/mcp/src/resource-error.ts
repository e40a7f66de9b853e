import { ErrorCode } from '@modelcontextprotocol/sdk/types.js'
import { modelText } from '@theazo/core/tools'

/** A URI that is repeated in the message may be of any length. */
const maxMessageChars = 1000

/** Why a resource cannot be read. */
export type ResourceFault = 'not_found' | 'invalid' | 'internal'

/** The code of each fault in MCP; the SDK has no name for the first. */
const codes: Readonly<Record<ResourceFault, number>> = {
  not_found: -32002,
  invalid: ErrorCode.InvalidParams,
  internal: ErrorCode.InternalError,
}

/** A refused read. Not the SDK's own error: that puts a prefix before the message, and its client another. */
export class ResourceError extends Error {
  /** The SDK sends it as the code of the JSON-RPC error. */
  readonly code: number

  constructor(fault: ResourceFault, message: string, options?: ErrorOptions) {
    super(modelText(message, '(no message)', maxMessageChars), options)
    this.name = 'ResourceError'
    this.code = codes[fault]
  }
}
