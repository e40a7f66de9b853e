import type { AgentEvent } from '@theazo/core'
import { AnswerText } from './answer-text.ts'
import type { RunFailure } from './failure-text.ts'
import { RemoteCalls } from './remote-calls.ts'
import { isOfTask, markerMetadata } from './run-marker.ts'
import type { TheazoDataParts, TheazoUIMessage, TheazoUIMessageChunk as Chunk } from './ui-message.ts'

/** Options of {@link RunChunks}. */
export interface RunChunksOptions {
  taskId: string
  messageId: string | undefined
  /** The message that the stream continues. */
  message: TheazoUIMessage | undefined
  sendReasoning: boolean
  sendTools: boolean
  /** The text that the user sees if the run, or a call of it, fails. */
  errorText: (failure: RunFailure) => string
}

/**
 * Turns the events of one run into chunks of one UI message. What a chunk opens is closed before the end, whatever the
 * events are.
 */
export class RunChunks {
  readonly #options: RunChunksOptions
  readonly #answer = new AnswerText()
  readonly #calls: RemoteCalls
  #textId: string | undefined
  #blocks = 0
  /** The event of the last chunk of the open text. */
  #textEventId: string | undefined
  /** The task as the message shows it. */
  #data: TheazoDataParts['theazo-task']
  isEnded = false

  constructor(options: RunChunksOptions) {
    this.#options = options
    this.#data = { taskId: options.taskId, status: 'running' }
    const parts = options.message?.parts ?? []
    this.#calls = new RemoteCalls(options.taskId, options.errorText, parts)
    for (const part of parts) {
      if (part.type === 'data-theazo-task' && part.data.taskId === options.taskId) this.#data = part.data
      else if (!isOfTask(part, options.taskId)) continue
      else if (part.type === 'text') this.#answer.add(part.text)
      else if (part.type === 'dynamic-tool') this.#answer.startStep()
    }
  }

  /** The first chunks; of a stream that continues a message, those that the message lacks. */
  start(): Chunk[] {
    const { taskId, messageId, message } = this.#options
    if (message?.parts.some((part) => part.type === 'data-theazo-task' && part.data.taskId === taskId)) return none
    const messageMetadata = { theazo: { taskId } }
    const start: Chunk = { type: 'start', ...(messageId !== undefined && { messageId }), messageMetadata }
    const step: Chunk[] = message?.parts.at(-1)?.type === 'step-start' ? none : [{ type: 'start-step' }]
    return [...(message ? none : [start]), ...step, this.#task({ status: 'running' })]
  }

  of(event: AgentEvent): Chunk[] {
    const chunks = this.#chunksOf(event)
    return event.gap && !this.isEnded && !this.#data.hasGap ? [this.#task({ hasGap: true }), ...chunks] : chunks
  }

  #chunksOf(event: AgentEvent): Chunk[] {
    switch (event.type) {
      case 'output_delta':
        // After a gap the place of a chunk in the answer is not known. The last event has the whole answer.
        return event.gap || this.#data.hasGap ? [] : this.#text(event.text, event.eventId)
      case 'thinking':
        return this.#options.sendReasoning ? this.#afterText(this.#thought(event.text, event.eventId)) : none
      case 'tool_call':
        this.#answer.startStep()
        return this.#options.sendTools ? this.#afterText(this.#calls.start(event)) : none
      case 'tool_result':
        return this.#options.sendTools ? this.#afterText(this.#calls.end(event)) : none
      case 'output':
        return this.#output(event)
      case 'error':
        return this.#error(event)
      case 'status':
        return this.#status(event.status, event.reason)
      case 'unknown':
        return [log({ event: event.event, data: event.data })]
      case 'stream_error':
        return [log({ event: event.type })]
    }
  }

  /** The last chunks if the events end before the run does. The task may continue, so that its status stays. */
  lost(errorText: string): Chunk[] {
    this.isEnded = true
    return [...this.#closeAll('The connection was lost.'), { type: 'error', errorText }, ...finish('error')]
  }

  /** The last chunks after an abort. */
  aborted(reason: string | undefined, isCancelled: boolean): Chunk[] {
    this.isEnded = true
    const task = isCancelled ? [this.#task({ status: 'cancelled' })] : []
    return [...this.#closeAll('The task was stopped.'), ...task, { type: 'abort', ...(reason && { reason }) }]
  }

  #output({ text, cost, eventId }: Extract<AgentEvent, { type: 'output' }>): Chunk[] {
    this.isEnded = true
    const before = this.#textEventId
    const missing = this.#text(this.#answer.missing(text), eventId)
    this.#textEventId = before // a stream that is cut here must get this event again
    const usage: Chunk[] = cost
      ? [
          { type: 'data-theazo-usage', id: 'theazo-usage', data: { cost } },
          { type: 'message-metadata', messageMetadata: { theazo: { cost } } },
        ]
      : []
    const closed = this.#closeAll('The result of this call was not received.')
    return [...missing, ...closed, ...usage, this.#task({ status: 'completed' }), ...finish('stop')]
  }

  #error({ code, message }: Extract<AgentEvent, { type: 'error' }>): Chunk[] {
    this.isEnded = true
    if (code === 'cancelled') {
      return [...this.#closeAll('The task was cancelled.'), this.#task({ status: 'cancelled' }), ...finish('other')]
    }
    const errorText = this.#options.errorText({ code, message })
    const failed = this.#task({ status: 'failed', code })
    return [
      ...this.#closeAll('The task ended before this call.'),
      failed,
      { type: 'error', errorText },
      ...finish('error'),
    ]
  }

  /** Of an agent's statuses, two tell about its task. The others follow from the run's last event. */
  #status(status: string, reason: string | undefined): Chunk[] {
    if (status === 'paused') return [this.#task({ status, ...(reason !== undefined && { reason }) })]
    return status === 'running' && this.#data.status === 'paused' ? [this.#task({ status })] : []
  }

  #text(delta: string, eventId: string | undefined): Chunk[] {
    if (delta === '') return []
    this.#answer.add(delta)
    this.#textEventId = eventId ?? this.#textEventId
    if (this.#textId !== undefined) return [{ type: 'text-delta', id: this.#textId, delta }]
    const id = this.#blockId('text', eventId)
    this.#textId = id
    return [
      { type: 'text-start', id, providerMetadata: markerMetadata(this.#options.taskId, undefined) },
      { type: 'text-delta', id, delta },
    ]
  }

  /** A thought is complete when it arrives. */
  #thought(delta: string, eventId: string | undefined): Chunk[] {
    const id = this.#blockId('reasoning', eventId)
    return [
      { type: 'reasoning-start', id, providerMetadata: markerMetadata(this.#options.taskId, undefined) },
      { type: 'reasoning-delta', id, delta },
      { type: 'reasoning-end', id, providerMetadata: markerMetadata(this.#options.taskId, eventId) },
    ]
  }

  #afterText(chunks: Chunk[]): Chunk[] {
    return this.#textId === undefined ? chunks : [...this.#closeText(), ...chunks]
  }

  #closeText(): Chunk[] {
    if (this.#textId === undefined) return none
    const providerMetadata = markerMetadata(this.#options.taskId, this.#textEventId)
    const end: Chunk = { type: 'text-end', id: this.#textId, providerMetadata }
    this.#textId = undefined
    this.#textEventId = undefined
    return [end]
  }

  #closeAll(errorText: string): Chunk[] {
    return [...this.#closeText(), ...this.#calls.failAll(errorText)]
  }

  /** The same in each stream of the message, because the AI SDK 7 keeps it in the part. */
  #blockId(kind: string, eventId: string | undefined): string {
    this.#blocks += 1
    return `${kind}-${eventId ?? `block-${this.#blocks}`}`
  }

  /** The part is replaced in its place: its id is the same. */
  #task(change: Partial<TheazoDataParts['theazo-task']>): Chunk {
    const { reason: _ended, ...data } = this.#data
    this.#data = { ...data, ...change }
    return { type: 'data-theazo-task', id: this.#options.taskId, data: this.#data }
  }
}

/** Most events close nothing. */
const none: Chunk[] = []

function finish(finishReason: 'stop' | 'error' | 'other'): Chunk[] {
  return [{ type: 'finish-step' }, { type: 'finish', finishReason }]
}

function log(data: { event: string; data?: unknown }): Chunk {
  return { type: 'data-theazo-log', data, transient: true }
}
