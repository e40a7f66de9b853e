import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** A part of a step, as an event. */
export type Delta =
  | { type: 'thinking'; text: string; id: string }
  /** `restart`: the step is written anew, and this is its beginning. */
  | { type: 'output_delta'; text: string; restart?: true }
  /** Output of a call's code while it runs. */
  | { type: 'tool_output'; id: string; stream: 'stdout' | 'stderr'; text: string }

/** Where a task continues. */
interface DeltaWriterOptions {
  /** The text that an earlier process has emitted for the first step. */
  earlier: string
  /** The number of the first step. */
  firstStep: number
}

/** Maximum characters of one write, and minimum milliseconds between two writes. */
const maxChars = 4096
const intervalMs = 50

/**
 * Merges the parts of a step before they become events: each event is a durable transaction, and a model writes one word
 * at a time. The order stays; no text is lost or added. The first part is written at the end of the
 * current turn of the event loop.
 *
 * A step may be written more than once, after a crash or a cut stream. Its text is then compared with the text that was
 * emitted already: only the rest follows, or, if the new text differs, all of it with `restart`.
 */
export class DeltaWriter {
  readonly #clock: Clock
  readonly #write: (delta: Delta) => Promise<void>
  #waiting: Delta | undefined
  /** True for a short time after a write. */
  #isThrottled = false
  /** The write in progress. Its first error is thrown by the next call. */
  #writing: Promise<void> = Promise.resolve()
  /** The text of the current step. */
  #text = ''
  /** The text of the step's earlier attempt; undefined once it is clear if the new text continues it. */
  #earlier: string | undefined
  #attempt = 1
  #step = 0

  constructor(clock: Clock, write: (delta: Delta) => Promise<void>, { earlier, firstStep }: DeltaWriterOptions) {
    this.#clock = clock
    this.#write = write
    this.#earlier = earlier === '' ? undefined : earlier
    this.#step = firstStep
    this.#attempt = earlier === '' ? 1 : 2 // thoughts of the attempt before have other ids
  }

  /** Waits only if much text is unwritten, so that a fast model cannot outrun the store. @throws the error of a write. */
  async thinking(text: string, id: string): Promise<void> {
    await this.#push({ type: 'thinking', text, id: `${this.#step}.${this.#attempt}.${id}` })
  }

  /** Like {@link thinking}. */
  async text(text: string): Promise<void> {
    this.#text += text
    const earlier = this.#earlier
    if (earlier === undefined) return await this.#push({ type: 'output_delta', text })
    if (earlier.startsWith(this.#text)) return
    this.#earlier = undefined
    if (!this.#text.startsWith(earlier))
      return await this.#push({ type: 'output_delta', text: this.#text, restart: true })
    await this.#push({ type: 'output_delta', text: this.#text.slice(earlier.length) })
  }

  /** Output of a call's code. Waits like {@link thinking}. */
  async toolOutput(id: string, stream: 'stdout' | 'stderr', text: string): Promise<void> {
    await this.#push({ type: 'tool_output', id, stream, text })
  }

  /** The step begins anew. */
  async restart(): Promise<void> {
    await this.flush()
    // If it is still set, this attempt has only repeated a part of the emitted text.
    this.#earlier ??= this.#text === '' ? undefined : this.#text
    this.#text = ''
    this.#attempt += 1
  }

  /** Call this before the step is stored. */
  async endStep(): Promise<void> {
    const earlier = this.#earlier
    this.#earlier = undefined
    if (earlier !== undefined && earlier !== this.#text) {
      await this.#push({ type: 'output_delta', text: this.#text, restart: true })
    }
    await this.flush()
    this.#text = ''
    this.#attempt = 1
    this.#step += 1
  }

  async #push(delta: Delta): Promise<void> {
    const last = this.#waiting
    if (last?.type === delta.type && idOf(last) === idOf(delta)) last.text += delta.text
    else {
      if (last) await this.flush()
      this.#waiting = delta
    }
    const waiting = this.#waiting?.text.length ?? 0
    if (waiting >= maxChars) return await this.flush()
    if (!this.#isThrottled) this.#writeNow()
  }

  /** Flushes after this turn, and at most once per {@link intervalMs}. */
  #writeNow(): void {
    this.#isThrottled = true
    this.#clock.after(intervalMs, () => {
      this.#isThrottled = false
      if (this.#waiting) this.#writeNow()
    })
    this.#flushSoon()
  }

  /** Flushes after this turn: parts that arrive together become one event. */
  #flushSoon(): void {
    void setImmediate()
      .then(() => this.flush())
      .catch(() => {}) // the next flush throws it
  }

  /** Writes the waiting part after the write in progress. Yields to other work after that. */
  async flush(): Promise<void> {
    const delta = this.#waiting
    this.#waiting = undefined
    if (delta) this.#writing = this.#writing.then(() => this.#write(delta))
    await this.#writing
    if (delta) await setImmediate()
  }
}

function idOf(delta: Delta): string {
  if (delta.type === 'tool_output') return `${delta.stream} ${delta.id}`
  return delta.type === 'thinking' ? delta.id : ''
}
