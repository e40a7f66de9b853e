import type { Server } from '@modelcontextprotocol/sdk/server/index.js'
import type { RequestId } from '@modelcontextprotocol/sdk/types.js'
import { modelText } from '@theazo/core/tools'
import type { Approval } from './tool-calls.ts'

/** A person may take longer than a request between programs. */
const timeoutMs = 10 * 60 * 1000
/** The cap on the input in the question. */
const maxInputChars = 2000

/** The call that the user is asked about. */
export interface ApprovalQuestion {
  title: string
  input: unknown
}

/** Asks the user, by an elicitation of the client, whether a call may run. */
export async function requestApproval(
  server: Server,
  { title, input }: ApprovalQuestion,
  options: { relatedRequestId: RequestId; signal: AbortSignal },
): Promise<Approval> {
  if (!server.getClientCapabilities()?.elicitation?.form) return 'unsupported'
  const shown = modelText(JSON.stringify(input ?? {}, undefined, 2), '{}', maxInputChars)
  const { action } = await server.elicitInput(
    { message: `${title}?\n${shown}`, requestedSchema: { type: 'object', properties: {} } },
    { ...options, timeout: timeoutMs },
  )
  return action === 'accept' ? 'approved' : 'declined'
}
