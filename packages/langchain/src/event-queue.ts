import type { ToolEvent } from '@theazo/core/tools'

/** Characters that may wait before the source of the events must wait. */
const maxWaitingChars = 64 * 1024
/** Events that may wait. Those of a remote agent's tools may be large. */
const maxWaitingEvents = 64

/**
 * The events of one call, from the tool that reports them to the generator that yields them. Adjacent chunks of output
 * that wait for the reader become one event, so a slow reader gets fewer events and all of the text. Each thought remains
 * an event of its own.
 */
export class EventQueue implements AsyncIterable<ToolEvent> {
  #waiting: ToolEvent[] = []
  #waitingChars = 0
  #isEnded = false
  #read = Promise.withResolvers<void>()
  #changed = Promise.withResolvers<void>()

  /** @returns undefined if there is room for the next event, else a promise that resolves when there is. */
  push(event: ToolEvent): Promise<void> | undefined {
    if (this.#isEnded) return undefined
    const last = this.#waiting.at(-1)
    if (last && isOutput(last) && isOutput(event) && last.type === event.type) last.text += event.text
    else this.#waiting.push({ ...event })
    if ('text' in event) this.#waitingChars += event.text.length
    this.#changed.resolve()
    return this.#isFull ? this.#untilRead() : undefined
  }

  get #isFull(): boolean {
    const isFull = this.#waitingChars > maxWaitingChars || this.#waiting.length > maxWaitingEvents
    return isFull && !this.#isEnded
  }

  async #untilRead(): Promise<void> {
    while (this.#isFull) await this.#read.promise
  }

  /** The reader gets the events that wait, and then the end. */
  end(): void {
    this.#isEnded = true
    this.#changed.resolve()
    this.#read.resolve()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ToolEvent> {
    for (;;) {
      const events = this.#waiting
      this.#waiting = []
      this.#waitingChars = 0
      this.#read.resolve()
      this.#read = Promise.withResolvers<void>()
      yield* events
      if (this.#waiting.length > 0) continue
      if (this.#isEnded) return
      await this.#changed.promise
      this.#changed = Promise.withResolvers<void>()
    }
  }
}

function isOutput(event: ToolEvent): event is Extract<ToolEvent, { text: string }> {
  return 'text' in event && event.type !== 'thinking'
}
