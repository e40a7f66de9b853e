import type { OutputHold } from './output-budget.ts'

/** How much larger the JSON of a stream may be than the stream: a NUL is one byte, and six in JSON. */
const maxGrowth = 2

/** Keeps the first bytes of a stream, up to a cap, and lets the rest pass: the writer never stalls on it. */
export class CapturedOutput {
  readonly #maxBytes: number
  readonly #onText: ((text: string) => void) | undefined
  readonly #hold: OutputHold | undefined
  // stream: true holds an unfinished character back, which only a cut is to drop.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  readonly #texts: string[] = []
  #sizeBytes = 0
  /** Bytes that JSON adds to what is kept. */
  #escapeBytes = 0
  #isTruncated = false

  /**
   * @param onText is called with each piece as it comes; together they are what {@link end} gives.
   * @param hold what the stream may take of the server's memory, beside its own cap.
   */
  constructor(maxBytes: number, onText?: (text: string) => void, hold?: OutputHold) {
    this.#maxBytes = maxBytes
    this.#onText = onText
    this.#hold = hold
  }

  push(chunk: Uint8Array): void {
    if (this.#isTruncated) return
    const kept = chunk.subarray(0, this.#roomFor(chunk))
    if (kept.length < chunk.length) this.#isTruncated = true
    if (kept.length === 0) return
    this.#sizeBytes += kept.length
    this.#take(this.#decoder.decode(kept, { stream: true }))
  }

  get isTruncated(): boolean {
    return this.#isTruncated
  }

  /** All of it, as UTF-8; bytes that are none become U+FFFD. A character that the cap cut in two is left out. */
  end(): string {
    if (!this.#isTruncated) this.#take(this.#decoder.decode())
    return this.#texts.join('')
  }

  /** Bytes of the chunk that fit. */
  #roomFor(chunk: Uint8Array): number {
    let fitting = Math.min(chunk.length, this.#maxBytes - this.#sizeBytes)
    const maxEscapeBytes = this.#maxBytes * (maxGrowth - 1)
    for (let at = 0; at < fitting; at += 1) {
      const more = escapeBytes(chunk[at] ?? 0)
      if (more === 0) continue
      if (this.#escapeBytes + more > maxEscapeBytes) fitting = at
      else this.#escapeBytes += more
    }
    return this.#hold && !this.#hold.take(fitting, this.#sizeBytes) ? 0 : fitting
  }

  #take(text: string): void {
    if (text === '') return
    this.#texts.push(text)
    this.#onText?.(text)
  }
}

/** Bytes that JSON writes more for a byte of UTF-8 (RFC 8259, section 7). */
function escapeBytes(byte: number): number {
  if (byte === 0x22 || byte === 0x5c || (byte >= 0x08 && byte <= 0x0d && byte !== 0x0b)) return 1
  return byte < 0x20 ? 5 : 0
}
