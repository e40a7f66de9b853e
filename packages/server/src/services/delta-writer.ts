import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** Maximum characters of one write, and maximum milliseconds that text waits for more. */
const maxChars = 4096
const maxWaitMs = 50

/**
 * Merges the parts of an answer before they become events: each event is a durable transaction, and a model writes one
 * word at a time. The order stays; no text is lost or added.
 */
export class DeltaWriter {
  readonly #clock: Clock
  readonly #write: (text: string) => Promise<void>
  #text = ''
  #stopTimer: (() => void) | undefined
  /** The write in progress. Its first error is thrown by the next call. */
  #writing: Promise<void> = Promise.resolve()

  constructor(clock: Clock, write: (text: string) => Promise<void>) {
    this.#clock = clock
    this.#write = write
  }

  /** Waits only if much text is unwritten, so that a fast model cannot outrun the store. @throws the error of a write. */
  async push(text: string): Promise<void> {
    this.#text += text
    if (this.#text.length >= maxChars) return await this.flush()
    this.#stopTimer ??= this.#clock.after(maxWaitMs, () => void this.flush().catch(() => {}))
  }

  /** Writes the waiting text after the write in progress. Yields to other work after that. */
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
