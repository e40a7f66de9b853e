import type { ToolCallEvent, ToolResultEvent } from '@theazo/core'
import { isOfTask, markerMetadata, markersOf } from './run-marker.ts'
import type { TheazoUIMessage, TheazoUIMessageChunk as Chunk } from './ui-message.ts'

/** The calls that the remote agent makes, as dynamic tool parts that the provider has executed. */
export class RemoteCalls {
  readonly #taskId: string
  /** By the id in the message. */
  readonly #open = new Map<string, { callId: string | undefined; tool: string }>()
  readonly #used = new Set<string>()

  /** @param parts of the message that is continued: its calls may get their results now. */
  constructor(taskId: string, parts: TheazoUIMessage['parts']) {
    this.#taskId = taskId
    for (const part of parts) {
      if (part.type !== 'dynamic-tool' || !isOfTask(part, taskId)) continue
      this.#used.add(part.toolCallId)
      if (part.state !== 'input-available') continue
      const callId = markersOf(part)[0]?.callId ?? part.toolCallId
      this.#open.set(part.toolCallId, { callId, tool: part.toolName })
    }
  }

  start({ callId, tool, input, eventId }: ToolCallEvent): Chunk[] {
    const toolCallId = this.#unusedId(callId, eventId)
    this.#open.set(toolCallId, { callId, tool })
    const providerMetadata = markerMetadata(this.#taskId, eventId, toolCallId === callId ? undefined : callId)
    return [
      { type: 'tool-input-available', toolCallId, toolName: tool, input: input ?? {}, providerMetadata, ...remote },
    ]
  }

  end(result: ToolResultEvent): Chunk[] {
    const { callId, tool, output, isError, eventId } = result
    const toolCallId = this.#openId(callId, tool)
    if (toolCallId === undefined) {
      // A repeated result, or the result of a call whose own event was lost.
      if (callId === undefined || this.#used.has(callId)) return []
      // Without an id of its own, so that a stream that is cut between the two gets the result again.
      return [...this.start({ ...result, eventId: undefined, type: 'tool_call', input: {} }), ...this.end(result)]
    }
    this.#open.delete(toolCallId)
    const providerMetadata = markerMetadata(this.#taskId, eventId)
    if (isError) return [failed(toolCallId, textOf(output), providerMetadata)]
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

  /** The newest open call of this id, or for servers without ids, the oldest of this tool. */
  #openId(callId: string | undefined, tool: string): string | undefined {
    const open = [...this.#open]
    if (callId !== undefined) return open.findLast(([, call]) => call.callId === callId)?.[0]
    return open.find(([, call]) => call.tool === tool)?.[0]
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
