import type { AgentEvent } from '@theazo/core'
import type { ProviderMetadata } from 'ai'
import { AnswerText } from './answer-text.ts'
import type { RunFailure } from './failure-text.ts'
import { RemoteCalls } from './remote-calls.ts'
import { isOfTask, isRestartOf, markerMetadata } from './run-marker.ts'
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
 * Turns the events of one run into chunks of one UI message. Each text, thought and tool call that a chunk starts is ended
 * by a later chunk, for any order of the events.
 */
export class RunChunks {
  readonly #options: RunChunksOptions
  readonly #answer = new AnswerText()
  readonly #calls: RemoteCalls
  #open: OpenBlock | undefined
  #blocks = 0
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
      else if (part.type === 'text') {
        if (isRestartOf(part)) this.#answer.restart()
        this.#answer.add(part.text)
      } else if (part.type === 'dynamic-tool') this.#answer.startStep()
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
        return event.gap || this.#data.hasGap ? [] : this.#delta(event)
      case 'thinking':
        return this.#options.sendReasoning ? this.#thought(event) : none
      case 'tool_call':
        this.#answer.startStep()
        return this.#options.sendTools ? this.#afterOpen(this.#calls.start(event)) : none
      case 'tool_result':
        return this.#options.sendTools ? this.#result(event) : none
      case 'tool_output':
        return none // the result has it
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

  /** The last chunks if the events end before the run does. The status of the task stays, because the task may continue. */
  lost(errorText: string): Chunk[] {
    this.isEnded = true
    return [...this.#closeAll('The connection was lost.'), { type: 'error', errorText }, ...finish('error')]
  }

  /** The last chunks after an abort. @param isCancelled false if the task may continue. */
  aborted(reason: string | undefined, isCancelled: boolean): Chunk[] {
    this.isEnded = true
    const task = isCancelled ? [this.#task({ status: 'cancelled' })] : []
    const errorText = isCancelled ? 'The task was stopped.' : noResultText
    return [...this.#closeAll(errorText), ...task, { type: 'abort', ...(reason && { reason }) }]
  }

  #result(event: Extract<AgentEvent, { type: 'tool_result' }>): Chunk[] {
    const chunks = this.#calls.end(event)
    // A result without a call has a part of its own, which begins a step like a call.
    if (chunks.some(({ type }) => type === 'tool-input-available')) this.#answer.startStep()
    return this.#afterOpen(chunks)
  }

  #output({ text, cost, eventId }: Extract<AgentEvent, { type: 'output' }>): Chunk[] {
    this.isEnded = true
    const before = this.#open?.kind === 'text' ? this.#open.eventId : undefined
    const unsent = this.#text(this.#answer.unsentPart(text), eventId)
    if (this.#open?.kind === 'text') this.#open.eventId = before // a stream that is cut here must get this event again
    const usage: Chunk[] = cost
      ? [
          { type: 'data-theazo-usage', id: 'theazo-usage', data: { cost } },
          { type: 'message-metadata', messageMetadata: { theazo: { cost } } },
        ]
      : []
    const closed = this.#closeAll(noResultText)
    return [...unsent, ...closed, ...usage, this.#task({ status: 'completed' }), ...finish('stop')]
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

  /** The message shows the statuses `paused` and `running` of an agent. The end of the task is in the run's last event. */
  #status(status: string, reason: string | undefined): Chunk[] {
    if (status === 'paused') return [this.#task({ status, ...(reason !== undefined && { reason }) })]
    return status === 'running' && this.#data.status === 'paused' ? [this.#task({ status })] : []
  }

  /** Text that began anew is a part of its own: what was sent cannot be taken back. */
  #delta({ text, eventId, isRestart }: Extract<AgentEvent, { type: 'output_delta' }>): Chunk[] {
    if (!isRestart || text === '') return this.#text(text, eventId)
    const closed = this.#close()
    this.#answer.restart()
    this.#answer.add(text)
    return [...closed, ...this.#write({ kind: 'text', name: undefined, isRestart }, text, eventId)]
  }

  #text(delta: string, eventId: string | undefined): Chunk[] {
    if (delta === '') return []
    this.#answer.add(delta)
    return this.#write({ kind: 'text', name: undefined }, delta, eventId)
  }

  /** A thought without an id is complete when it arrives. Others have parts, until something else follows. */
  #thought({ text, eventId, thoughtId }: Extract<AgentEvent, { type: 'thinking' }>): Chunk[] {
    const chunks = this.#write({ kind: 'reasoning', name: thoughtId }, text, eventId)
    return thoughtId === undefined ? [...chunks, ...this.#close()] : chunks
  }

  /** Adds to the open block if it is the same one; otherwise closes it and opens another. */
  #write(block: Pick<OpenBlock, 'kind' | 'name' | 'isRestart'>, delta: string, eventId: string | undefined): Chunk[] {
    const open = this.#open
    if (open?.kind === block.kind && open.name === block.name) {
      open.eventId = eventId ?? open.eventId
      return [{ type: `${open.kind}-delta`, id: open.id, delta }]
    }
    const closed = this.#close()
    const id = this.#blockId(block.kind, eventId)
    this.#open = { ...block, id, eventId }
    return [
      ...closed,
      { type: `${block.kind}-start`, id, providerMetadata: this.#marker(block, undefined) },
      { type: `${block.kind}-delta`, id, delta },
    ]
  }

  #afterOpen(chunks: Chunk[]): Chunk[] {
    return this.#open ? [...this.#close(), ...chunks] : chunks
  }

  #close(): Chunk[] {
    const open = this.#open
    if (!open) return none
    this.#open = undefined
    return [{ type: `${open.kind}-end`, id: open.id, providerMetadata: this.#marker(open, open.eventId) }]
  }

  #marker({ isRestart }: Pick<OpenBlock, 'isRestart'>, eventId: string | undefined): ProviderMetadata {
    const metadata = markerMetadata(this.#options.taskId, eventId)
    return isRestart ? { theazo: { ...metadata.theazo, isRestart } } : metadata
  }

  #closeAll(errorText: string): Chunk[] {
    return [...this.#close(), ...this.#calls.failAll(errorText)]
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

/** The text or the thought that the next chunk may continue. */
interface OpenBlock {
  kind: 'text' | 'reasoning'
  /** The id of the thought. */
  name: string | undefined
  /** The block replaces the text that the model has written since its last tool call. */
  isRestart?: true
  id: string
  /** The event of its last chunk. */
  eventId: string | undefined
}

const noResultText = 'The result of this call was not received.'

/** Most events close nothing. */
const none: Chunk[] = []

function finish(finishReason: 'stop' | 'error' | 'other'): Chunk[] {
  return [{ type: 'finish-step' }, { type: 'finish', finishReason }]
}

function log(data: { event: string; data?: unknown }): Chunk {
  return { type: 'data-theazo-log', data, transient: true }
}
