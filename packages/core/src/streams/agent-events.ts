import type { EventSourceMessage } from 'eventsource-parser'
import { StreamError } from '../errors.ts'
import { isRecord } from '../transport/is-record.ts'
import type { AgentStatus, Money } from '../wire.ts'

/** What every event carries. */
interface EventBase {
  /** The event's number in the agent's log, where the server numbers them: what `lastEventId` takes. */
  eventId: string | undefined
  /** The task it belongs to, where the server tells. */
  taskId: string | undefined
  /** Events before this one were lost: the server could not replay them after a cut. */
  gap?: true
}

/** The model thinks. */
export interface ThinkingEvent extends EventBase {
  type: 'thinking'
  text: string
}

/** The agent calls a tool of its own. */
export interface ToolCallEvent extends EventBase {
  type: 'tool_call'
  /** Ties the call to its result, where the server tells. */
  callId: string | undefined
  tool: string
  input: unknown
}

/** What the tool gave. */
export interface ToolResultEvent extends EventBase {
  type: 'tool_result'
  callId: string | undefined
  tool: string
  output: unknown
  isError: boolean
  durationMs: number | undefined
}

/** A piece of the answer as it is written; `output` brings the whole. */
export interface OutputDeltaEvent extends EventBase {
  type: 'output_delta'
  text: string
}

/** The final answer of a run, once. */
export interface OutputEvent extends EventBase {
  type: 'output'
  text: string
  cost: Money | undefined
}

/** The run ended without an answer, or was stopped by a limit (`isResumable`). */
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

/** An event that this version does not know, as it came. */
export interface UnknownEvent extends EventBase {
  type: 'unknown'
  /** Its name on the wire. */
  event: string
  data: unknown
}

/** An event that could not be read; the stream goes on. */
export interface UnreadableEvent extends EventBase {
  type: 'stream_error'
  error: StreamError
  /** What came. */
  raw: string
}

/** What an agent's stream tells, told apart by `type`. */
export type AgentEvent =
  | ThinkingEvent
  | ToolCallEvent
  | ToolResultEvent
  | OutputDeltaEvent
  | OutputEvent
  | RunErrorEvent
  | StatusEvent
  | UnknownEvent
  | UnreadableEvent

type Data = Record<string, unknown>

/**
 * Turns messages of one stream into events.
 *
 * A deployed variant of the API names its events `text`, `done`, `progress` and `heartbeat`, or tells the name in the
 * data's `type` (contract, Events); both are read.
 */
export class EventNormalizer {
  /** Of the variant's `text` events: its `done` may come without the whole. */
  #written = ''

  /** Undefined for a heartbeat. */
  read({ event: name, id, data: raw }: EventSourceMessage): AgentEvent | undefined {
    let parsed: unknown
    try {
      parsed = JSON.parse(raw)
    } catch {
      return unreadable(name, id, raw)
    }
    const data = isRecord(parsed) ? parsed : { text: parsed }
    return contractEvent(name, id, data) ?? this.#variant(name, id, data, parsed)
  }

  /** The rest, and what only a variant of the API sends: brought into the contract's form first. */
  #variant(event: string | undefined, id: string | undefined, raw: Data, parsed: unknown): AgentEvent | undefined {
    const data = isRecord(raw['payload']) ? { ...raw, ...raw['payload'] } : raw
    const name = event !== undefined && event !== 'message' ? event : (string(data['type']) ?? 'message')
    const text = textOf(data)
    const base = { eventId: id, taskId: string(data['taskId']) }
    switch (name) {
      case 'heartbeat':
      case 'ping':
        return undefined
      case 'text':
        this.#written += text
        return { type: 'output_delta', ...base, text }
      case 'progress':
        return { type: 'thinking', ...base, text }
      case 'output':
      case 'done': {
        const whole = text || this.#written
        this.#written = ''
        return { type: 'output', ...base, text: whole, cost: money(data['cost']) }
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

/** What comes most, in the contract's own form, without a look at the variants: this is run for every event. */
function contractEvent(name: string | undefined, eventId: string | undefined, data: Data): AgentEvent | undefined {
  const { text, tool } = data
  const taskId = data['taskId'] as string | undefined // the server's own; what is no string never equals a task's id
  if (typeof text === 'string') {
    if (name === 'output_delta') return { type: 'output_delta', eventId, taskId, text }
    if (name === 'thinking') return { type: 'thinking', eventId, taskId, text }
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
  if (name === 'heartbeat' || name === 'ping') return undefined // it need not hold JSON
  const message = `Event ${eventId ?? 'without an id'} (${name ?? 'message'}) does not hold JSON.`
  const error = new StreamError(message, { code: 'stream_error' }) // its SyntaxError would quote the data
  return { type: 'stream_error', eventId, taskId: undefined, error, raw }
}

function textOf(data: Data): string {
  return string(data['text'] ?? data['delta'] ?? data['content'] ?? data['output'] ?? data['message']) ?? ''
}

/** Cents, also where a bare number says them. */
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
