import type { EventSourceMessage } from 'eventsource-parser'
import { StreamError } from '../errors.ts'
import { isRecord } from '../transport/is-record.ts'
import type { AgentStatus, Money } from '../wire.ts'

/** The fields of every event. */
interface EventBase {
  /** The event's number in the agent's log, for `lastEventId`. Undefined if the server does not number events. */
  eventId: string | undefined
  /** The event's task. Undefined if the server does not send it. */
  taskId: string | undefined
  /** Events before this one were lost: the server could not replay them after a lost connection. */
  gap?: true
}

/** A thought of the model. */
export interface ThinkingEvent extends EventBase {
  type: 'thinking'
  text: string
  /** Events with the same id are parts of one thought. Undefined: the event is a whole thought. */
  thoughtId?: string
}

/** The agent calls a tool of its own. */
export interface ToolCallEvent extends EventBase {
  type: 'tool_call'
  /** The same for the call and its result. Undefined if the server does not send it. */
  callId: string | undefined
  tool: string
  input: unknown
}

/** The result of a tool call. */
export interface ToolResultEvent extends EventBase {
  type: 'tool_result'
  callId: string | undefined
  tool: string
  output: unknown
  isError: boolean
  durationMs: number | undefined
}

/** What the code of a tool call prints while it runs. The event `tool_result` contains the whole output. */
export interface ToolOutputEvent extends EventBase {
  type: 'tool_output'
  callId: string | undefined
  stream: 'stdout' | 'stderr'
  text: string
}

/** A chunk of the answer while the model writes it. The event `output` contains the whole answer. */
export interface OutputDeltaEvent extends EventBase {
  type: 'output_delta'
  text: string
  /** The model began this text anew: the chunks since the last tool call or start do not count. */
  isRestart?: true
}

/** The final answer: the last event of a successful run. */
export interface OutputEvent extends EventBase {
  type: 'output'
  text: string
  cost: Money | undefined
}

/** The last event of a run that ended without an answer. If a limit stopped the run, `isResumable` is true. */
export interface RunErrorEvent extends EventBase {
  type: 'error'
  code: string
  message: string
  isResumable: boolean
}

/** The agent's status changed. */
export interface StatusEvent extends EventBase {
  type: 'status'
  status: AgentStatus | (string & {})
  reason: string | undefined
  toolCall: unknown
}

/** An event that this version does not know. */
export interface UnknownEvent extends EventBase {
  type: 'unknown'
  /** The event's name on the wire. */
  event: string
  /** The event's data, unchanged. */
  data: unknown
}

/** An event whose data is not JSON. The stream continues. */
export interface UnreadableEvent extends EventBase {
  type: 'stream_error'
  error: StreamError
  /** The event's data as received. */
  raw: string
}

/** An event of an agent's stream, discriminated by `type`. */
export type AgentEvent =
  | ThinkingEvent
  | ToolCallEvent
  | ToolResultEvent
  | ToolOutputEvent
  | OutputDeltaEvent
  | OutputEvent
  | RunErrorEvent
  | StatusEvent
  | UnknownEvent
  | UnreadableEvent

type Data = Record<string, unknown>

/**
 * Turns the messages of one stream into events.
 *
 * A deployed variant of the API names its events `text`, `done`, `progress` and `heartbeat`, or has the name in the field
 * `type` of the data (contract, Events). This class reads both forms.
 */
export class EventNormalizer {
  /** The joined text of the variant's `text` events: its `done` event may lack the whole answer. */
  #answer = ''

  /** The event of a message; undefined for a heartbeat. */
  read({ event: name, id, data: raw }: EventSourceMessage): AgentEvent | undefined {
    let parsed: unknown
    try {
      parsed = JSON.parse(raw)
    } catch {
      return unreadable(name, id, raw)
    }
    const data = isRecord(parsed) ? parsed : { text: parsed }
    return contractEvent(name, id, data) ?? this.#otherEvent(name, id, data, parsed)
  }

  /** Rare events, and events of the variant, which are first converted into the contract's form. */
  #otherEvent(event: string | undefined, id: string | undefined, raw: Data, parsed: unknown): AgentEvent | undefined {
    const data = isRecord(raw['payload']) ? { ...raw, ...raw['payload'] } : raw
    const name = event !== undefined && event !== 'message' ? event : (string(data['type']) ?? 'message')
    const text = textOf(data)
    const base = { eventId: id, taskId: string(data['taskId']) }
    switch (name) {
      case 'heartbeat':
      case 'ping':
        return undefined
      case 'text':
        this.#answer += text
        return { type: 'output_delta', ...base, text }
      case 'progress':
        return { type: 'thinking', ...base, text }
      case 'output':
      case 'done': {
        const answer = text || this.#answer
        this.#answer = ''
        return { type: 'output', ...base, text: answer, cost: money(data['cost']) }
      }
      case 'error': {
        const inner = isRecord(data['error']) ? data['error'] : data
        const code = string(inner['code']) ?? 'internal_error'
        const message = textOf(inner) || 'The run failed.'
        return { type: name, ...base, code, message, isResumable: data['resumable'] === true }
      }
      case 'status': {
        const { status, reason, toolCall } = data
        return { type: name, ...base, status: string(status) ?? '', reason: string(reason), toolCall }
      }
    }
    const isTool = name === 'tool_call' || name === 'tool_result'
    const { id: callId = data['callId'], name: toolName, tool = toolName, args, input = args } = data
    const toolForm = { ...data, text: undefined, tool: string(tool) ?? '', id: callId, input }
    const known = contractEvent(name, id, isTool ? toolForm : { ...data, text })
    return known ?? { type: 'unknown', ...base, event: name, data: parsed }
  }
}

/** The most frequent events in the contract's form. It runs for every event, and is fast: it ignores the variant. */
function contractEvent(name: string | undefined, eventId: string | undefined, data: Data): AgentEvent | undefined {
  const { text, tool } = data
  const taskId = data['taskId'] as string | undefined // not checked: another type never equals the id of a task
  if (typeof text === 'string') {
    if (name === 'output_delta') {
      const delta: OutputDeltaEvent = { type: 'output_delta', eventId, taskId, text }
      return data['restart'] === true ? { ...delta, isRestart: true } : delta
    }
    if (name === 'tool_output') {
      const stream = data['stream'] === 'stderr' ? 'stderr' : 'stdout'
      return { type: 'tool_output', eventId, taskId, callId: string(data['id']), stream, text }
    }
    if (name === 'thinking') {
      const thought: ThinkingEvent = { type: 'thinking', eventId, taskId, text }
      return typeof data['id'] === 'string' ? { ...thought, thoughtId: data['id'] } : thought
    }
  } else if (typeof tool === 'string') {
    const callId = string(data['id'])
    if (name === 'tool_call') return { type: 'tool_call', eventId, taskId, callId, tool, input: data['input'] }
    if (name === 'tool_result') {
      const { output = data['result'], isError, durationMs } = data
      return {
        type: 'tool_result',
        eventId,
        taskId,
        callId,
        tool,
        output,
        isError: isError === true,
        durationMs: number(durationMs),
      }
    }
  }
  return undefined
}

function unreadable(name: string | undefined, eventId: string | undefined, raw: string): AgentEvent | undefined {
  if (name === 'heartbeat' || name === 'ping') return undefined // its data need not be JSON
  const message = `The data of event ${eventId ?? 'without an id'} (${name ?? 'message'}) is not JSON.`
  const error = new StreamError(message, { code: 'stream_error' }) // without the SyntaxError, which quotes the data
  return { type: 'stream_error', eventId, taskId: undefined, error, raw }
}

function textOf(data: Data): string {
  return string(data['text'] ?? data['delta'] ?? data['content'] ?? data['output'] ?? data['message']) ?? ''
}

/** Reads an amount in cents: an object, or a bare number of the variant. */
function money(value: unknown): Money | undefined {
  if (typeof value === 'number') return { amount: value, currency: 'usd' }
  return isRecord(value) && typeof value['amount'] === 'number'
    ? { amount: value['amount'], currency: 'usd' }
    : undefined
}

function string(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}
