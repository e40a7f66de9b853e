import type {
  AgentEvent,
  OutputDeltaEvent,
  OutputEvent,
  RunErrorEvent,
  StatusEvent,
  ThinkingEvent,
  ToolCallEvent,
  ToolResultEvent,
} from '../streams/agent-events.ts'

type Callback<Event> = (event: Event) => unknown

/** What {@link Run.forward} calls; each may be asynchronous and is awaited. */
export interface RunCallbacks {
  /** Called for every event, before the callback of its kind. */
  onEvent?: Callback<AgentEvent> | undefined
  onThinking?: Callback<ThinkingEvent> | undefined
  onToolCall?: Callback<ToolCallEvent> | undefined
  onToolResult?: Callback<ToolResultEvent> | undefined
  onOutputDelta?: Callback<OutputDeltaEvent> | undefined
  onOutput?: Callback<OutputEvent> | undefined
  onStatus?: Callback<StatusEvent> | undefined
  /** The run ended without an answer. Where it is given, `forward` does not throw that error. */
  onError?: Callback<RunErrorEvent> | undefined
}

/** Calls back for one event; a promise where that is still going on. */
export function deliver(
  event: AgentEvent,
  callbacks: RunCallbacks,
  isOver: () => boolean,
): Promise<unknown> | undefined {
  if (callbacks.onEvent) {
    const first = callbacks.onEvent(event)
    // It may have closed the run: nothing is called after that.
    if (isThenable(first)) return Promise.resolve(first).then(() => (isOver() ? undefined : callKind(event, callbacks)))
    if (isOver()) return undefined
  }
  const second = callKind(event, callbacks)
  // A callback that has returned is not waited for: the next event need not go through the event loop.
  return isThenable(second) ? Promise.resolve(second) : undefined
}

function callKind(event: AgentEvent, callbacks: RunCallbacks): unknown {
  switch (event.type) {
    case 'thinking':
      return callbacks.onThinking?.(event)
    case 'tool_call':
      return callbacks.onToolCall?.(event)
    case 'tool_result':
      return callbacks.onToolResult?.(event)
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value
}
