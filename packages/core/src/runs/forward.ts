import type {
  AgentEvent,
  OutputDeltaEvent,
  OutputEvent,
  RunErrorEvent,
  StatusEvent,
  ThinkingEvent,
  ToolCallEvent,
  ToolOutputEvent,
  ToolResultEvent,
} from '../streams/agent-events.ts'
import { isThenable } from '../transport/is-thenable.ts'
import type { Cursor } from '../streams/broadcast.ts'

type Callback<Event> = (event: Event) => unknown

/** A tool call that waits for an approval. */
export interface PendingCall {
  callId: string | undefined
  tool: string
  input: unknown
}

/** The answer to a call that waits: true and false approve and refuse it. A message is for the model. */
export type ApprovalAnswer = boolean | { approve: boolean; message?: string | undefined } | undefined

/** Callbacks of {@link Run.forward}. Each may be asynchronous, and is awaited. */
export interface RunCallbacks {
  /** Called for every event, before the callback of its type. */
  onEvent?: Callback<AgentEvent> | undefined
  onThinking?: Callback<ThinkingEvent> | undefined
  onToolCall?: Callback<ToolCallEvent> | undefined
  onToolResult?: Callback<ToolResultEvent> | undefined
  /** Called with what the code of a tool call prints while it runs. */
  onToolOutput?: Callback<ToolOutputEvent> | undefined
  onOutputDelta?: Callback<OutputDeltaEvent> | undefined
  onOutput?: Callback<OutputEvent> | undefined
  onStatus?: Callback<StatusEvent> | undefined
  /**
   * Called if a tool call of the run waits for an approval. The agent is paused until the answer. Without an answer
   * (undefined), it stays paused.
   */
  onApproval?: ((call: PendingCall) => ApprovalAnswer | Promise<ApprovalAnswer>) | undefined
  /** Called if the run ends without an answer. With this callback, `forward` does not throw that error. */
  onError?: Callback<RunErrorEvent> | undefined
}

/**
 * Calls the callbacks for each event of a consumer, to the end of the events.
 *
 * @throws the signal's reason after an abort.
 */
export async function deliverAll(
  cursor: Cursor<AgentEvent>,
  callbacks: RunCallbacks,
  isOver: () => boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const isStopped = (): boolean => signal?.aborted === true || isOver()
  const onAbort = (): void => cursor.close()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    for (let batch; (batch = await cursor.next());) {
      // By index: an iterator that lives across awaits costs as much as the delivery itself.
      for (let at = 0; at < batch.length && !isStopped(); at += 1) {
        const pending = deliver(batch[at] as AgentEvent, callbacks, isStopped) // the index is in range
        if (pending) await pending
      }
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
  signal?.throwIfAborted()
}

/** Calls the callbacks of one event. It returns a promise only if a callback has not finished. */
function deliver(event: AgentEvent, callbacks: RunCallbacks, isOver: () => boolean): Promise<unknown> | undefined {
  if (callbacks.onEvent) {
    const first = callbacks.onEvent(event)
    // The callback may have closed the run. No further callback is then called.
    if (isThenable(first))
      return Promise.resolve(first).then(() => (isOver() ? undefined : callForType(event, callbacks)))
    if (isOver()) return undefined
  }
  const second = callForType(event, callbacks)
  // A synchronous callback is not awaited, so that the next event is delivered without a turn of the event loop.
  return isThenable(second) ? Promise.resolve(second) : undefined
}

/** Calls the callback for the type of the event. */
function callForType(event: AgentEvent, callbacks: RunCallbacks): unknown {
  switch (event.type) {
    case 'thinking':
      return callbacks.onThinking?.(event)
    case 'tool_call':
      return callbacks.onToolCall?.(event)
    case 'tool_result':
      return callbacks.onToolResult?.(event)
    case 'tool_output':
      return callbacks.onToolOutput?.(event)
    case 'output_delta':
      return callbacks.onOutputDelta?.(event)
    case 'output':
      return callbacks.onOutput?.(event)
    case 'status':
      return callbacks.onStatus?.(event)
    case 'error':
      return callbacks.onError?.(event)
    default:
      return undefined // an unknown or unreadable event has no callback of its own
  }
}
