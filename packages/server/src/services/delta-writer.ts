import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** Characters that are written at once, and milliseconds that they wait for more. */
const maxChars = 4096
const maxWaitMs = 50

/**
 * Puts the pieces of an answer together before they become events: each event is a durable transaction, and a model
 * writes a word at a time. Pieces keep their order; together they are what came in.
 */
export class DeltaWriter {
  readonly #clock: Clock
  readonly #write: (text: string) => Promise<void>
  #text = ''
  #stopTimer: (() => void) | undefined
  /** The write under way; it keeps the first error for the next call. */
  #writing: Promise<void> = Promise.resolve()

  constructor(clock: Clock, write: (text: string) => Promise<void>) {
    this.#clock = clock
    this.#write = write
  }

  /** Waits only if much is unwritten: a model that is quicker than the store is slowed down. @throws what a write threw. */
  async push(text: string): Promise<void> {
    this.#text += text
    if (this.#text.length >= maxChars) return await this.flush()
    this.#stopTimer ??= this.#clock.after(maxWaitMs, () => void this.flush().catch(() => {}))
  }

  /** Writes what is there, after what is being written. Others have a turn afterwards. */
  async flush(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    const text = this.#text
    this.#text = ''
    if (text !== '') this.#writing = this.#writing.then(() => this.#write(text))
    await this.#writing
    if (text !== '') await setImmediate()
  }
}
