import { ErrorCode } from '@modelcontextprotocol/sdk/types.js'

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
    super(message, options)
    this.name = 'ResourceError'
    this.code = codes[fault]
  }
}
