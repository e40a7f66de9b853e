import type { EventRow } from '../store/tables.ts'

/** Receives one event as bytes of the stream, which are encoded once for all listeners. */
export type Listener = (event: StreamEvent) => void

/** An event in the format of the stream. */
export interface StreamEvent {
  number: number
  bytes: Uint8Array
  /** True if the agent is terminated: no event follows. */
  isLast: boolean
}

/** Publishes the events of this process to listeners. It stores nothing: streams replay events from the store. */
export class EventHub {
  readonly #listeners = new Map<string, Set<Listener>>()

  /** Adds a listener. @returns a function that removes it. */
  listen(agentId: string, listener: Listener): () => void {
    let listeners = this.#listeners.get(agentId)
    if (!listeners) this.#listeners.set(agentId, (listeners = new Set()))
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#listeners.get(agentId) === listeners) this.#listeners.delete(agentId)
    }
  }

  publish(row: EventRow): void {
    const listeners = this.#listeners.get(row.agent_id)
    if (!listeners) return
    const event = encode(row)
    for (const listener of listeners) listener(event)
  }
}

/** Encodes an event for the stream (WHATWG HTML, 9.2.6). The JSON contains no line breaks. */
export function encode({ number, type, data }: EventRow): StreamEvent {
  const bytes = Buffer.from(`id: ${number}\nevent: ${type}\ndata: ${data}\n\n`)
  return { number, bytes, isLast: type === 'status' && data.startsWith(terminatedStart) }
}

const terminatedStart = '{"status":"terminated"'
