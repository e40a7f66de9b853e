import type { EventRow } from '../store/tables.ts'

/** Takes one event, already as the bytes of the stream: written once, whatever the number of listeners. */
export type Listener = (event: StreamEvent) => void

/** An event as a stream sends it. */
export interface StreamEvent {
  number: number
  bytes: Uint8Array
  /** The agent has ended: nothing follows. */
  isLast: boolean
}

/** Tells events of this process to those who listen. The table of events is the truth; this only wakes. */
export class EventHub {
  readonly #listeners = new Map<string, Set<Listener>>()

  /** What it gives stops it. */
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

/** The event in the format of the stream (WHATWG HTML, 9.2.6); JSON has no line breaks of its own. */
export function encode({ number, type, data }: EventRow): StreamEvent {
  const bytes = Buffer.from(`id: ${number}\nevent: ${type}\ndata: ${data}\n\n`)
  return { number, bytes, isLast: type === 'status' && data.startsWith(terminatedStart) }
}

const terminatedStart = '{"status":"terminated"'
