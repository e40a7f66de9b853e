import { ConflictError } from '../errors.ts'
import type { ApprovalAnswer, PendingCall, RunCallbacks } from './forward.ts'
import type { StatusEvent } from '../streams/agent-events.ts'
import { isRecord } from '../transport/is-record.ts'
import type { Transport } from '../transport/transport.ts'
import type { Agent as WireAgent } from '../wire.ts'

/** Callbacks that also answer the approvals of a run, if they have `onApproval`. */
export function withApprovals(
  callbacks: RunCallbacks,
  transport: Transport,
  agentId: string,
  signal: AbortSignal | undefined,
): RunCallbacks {
  const { onApproval, onStatus } = callbacks
  if (!onApproval) return callbacks
  return {
    ...callbacks,
    onStatus: async (event) => {
      await onStatus?.(event)
      const call = pendingCallOf(event)
      if (call) await answerApproval(transport, agentId, call, onApproval, signal)
    },
  }
}

/** The call of a status event, if the event says that one waits. */
function pendingCallOf({ reason, toolCall }: StatusEvent): PendingCall | undefined {
  if (reason !== 'approval_required' || !isRecord(toolCall)) return undefined
  const { id, tool, input } = toolCall
  return { callId: typeof id === 'string' ? id : undefined, tool: String(tool), input }
}

/** Asks for the answer, and resumes the agent with it. Does nothing if the agent is not paused. */
async function answerApproval(
  transport: Transport,
  agentId: string,
  call: PendingCall,
  ask: (call: PendingCall) => ApprovalAnswer | Promise<ApprovalAnswer>,
  signal: AbortSignal | undefined,
): Promise<void> {
  // A replayed event may be of a call that was answered long ago.
  const path = ['agents', agentId]
  const { status } = await transport.request<WireAgent>({ method: 'GET', path, signal })
  if (status !== 'paused') return
  const answer = await ask(call) // may take days; the server refuses it if another call waits by then
  if (answer === undefined) return
  const { approve, message } = typeof answer === 'boolean' ? { approve: answer, message: undefined } : answer
  const body = { approve, message, callId: call.callId }
  try {
    await transport.request({ method: 'POST', path: [...path, 'resume'], body, signal })
  } catch (error) {
    if (!ConflictError.isInstance(error)) throw error // somebody else has answered, or another call waits now
  }
}
