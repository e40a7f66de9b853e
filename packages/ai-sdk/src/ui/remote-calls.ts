import type { ToolCallEvent, ToolResultEvent } from '@theazo/core'
import type { RunFailure } from './failure-text.ts'
import { isOfTask, markerMetadata, markersOf } from './run-marker.ts'
import type { TheazoUIMessage, TheazoUIMessageChunk as Chunk } from './ui-message.ts'

interface OpenCall {
  tool: string
  /** The remote agent's id of the call. */
  callId: string | undefined
}

/** The calls that the remote agent makes, as dynamic tool parts that the provider has executed. */
export class RemoteCalls {
  readonly #taskId: string
  /** By the id in the message. */
  readonly #open = new Map<string, OpenCall>()
  readonly #used = new Set<string>()
  /** The remote agent has repeated an id, so that the id in the message may be another one. */
  #hasRepeatedIds = false

  readonly #errorText: (failure: RunFailure) => string

  /**
   * @param errorText returns the text that the user sees for a failed call.
   * @param parts of the message that is continued: its calls may get their results now.
   */
  constructor(taskId: string, errorText: (failure: RunFailure) => string, parts: TheazoUIMessage['parts']) {
    this.#taskId = taskId
    this.#errorText = errorText
    for (const part of parts) {
      if (part.type !== 'dynamic-tool' || !isOfTask(part, taskId)) continue
      this.#used.add(part.toolCallId)
      if (part.state !== 'input-available') continue
      const callId = markersOf(part)[0]?.callId ?? part.toolCallId
      this.#add(part.toolCallId, callId, part.toolName)
    }
  }

  start({ callId, tool, input, eventId }: ToolCallEvent): Chunk[] {
    const toolCallId = this.#unusedId(callId, eventId)
    this.#add(toolCallId, callId, tool)
    const providerMetadata = markerMetadata(this.#taskId, eventId, toolCallId === callId ? undefined : callId)
    return [
      { type: 'tool-input-available', toolCallId, toolName: tool, input: input ?? {}, providerMetadata, ...remote },
    ]
  }

  end(result: ToolResultEvent): Chunk[] {
    const { callId, tool, output, isError, eventId } = result
    const toolCallId = this.#take(callId, tool)
    if (toolCallId === undefined) {
      // A repeated result, or the result of a call whose own event was lost.
      if (callId === undefined || this.#used.has(callId)) return []
      // Without an id of its own, so that a stream that is cut between the two gets the result again.
      return [...this.start({ ...result, eventId: undefined, type: 'tool_call', input: {} }), ...this.end(result)]
    }
    const providerMetadata = markerMetadata(this.#taskId, eventId)
    if (isError) {
      const errorText = this.#errorText({ code: 'tool_error', message: textOf(output), tool })
      return [failed(toolCallId, errorText, providerMetadata)]
    }
    return [{ type: 'tool-output-available', toolCallId, output: output ?? null, providerMetadata, ...remote }]
  }

  /** Ends every open call with this text. */
  failAll(errorText: string): Chunk[] {
    const chunks = Array.from(this.#open.keys(), (toolCallId) => failed(toolCallId, errorText))
    this.#open.clear()
    return chunks
  }

  /** An id that occurs twice would overwrite the first call. */
  #unusedId(callId: string | undefined, eventId: string | undefined): string {
    const base = callId ?? `${this.#taskId}_${eventId ?? 'call'}`
    let id = base
    for (let count = 2; this.#used.has(id); count += 1) id = `${base}_${count}`
    this.#used.add(id)
    return id
  }

  #add(toolCallId: string, callId: string | undefined, tool: string): void {
    this.#open.set(toolCallId, { tool, callId })
    this.#hasRepeatedIds ||= callId !== undefined && callId !== toolCallId
  }

  /** Takes the newest open call of this id, or for servers without ids, the oldest of this tool. */
  #take(callId: string | undefined, tool: string): string | undefined {
    const toolCallId = callId === undefined ? this.#oldestOf(tool) : this.#newestOf(callId)
    if (toolCallId !== undefined) this.#open.delete(toolCallId)
    return toolCallId
  }

  #newestOf(callId: string): string | undefined {
    if (!this.#hasRepeatedIds) return this.#open.has(callId) ? callId : undefined
    let newest: string | undefined
    for (const [toolCallId, call] of this.#open) if (call.callId === callId) newest = toolCallId
    return newest
  }

  #oldestOf(tool: string): string | undefined {
    for (const [toolCallId, call] of this.#open) if (call.tool === tool) return toolCallId
    return undefined
  }
}

const remote = { dynamic: true, providerExecuted: true } as const

function failed(toolCallId: string, errorText: string, providerMetadata?: ReturnType<typeof markerMetadata>): Chunk {
  return { type: 'tool-output-error', toolCallId, errorText, ...(providerMetadata && { providerMetadata }), ...remote }
}

function textOf(output: unknown): string {
  if (typeof output === 'string') return output
  return output === undefined ? 'The call failed.' : JSON.stringify(output)
}
