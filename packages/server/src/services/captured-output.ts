/** Keeps the first bytes of a stream, up to a cap, and lets the rest pass: the writer never stalls on it. */
export class CapturedOutput {
  readonly #maxBytes: number
  readonly #onText: ((text: string) => void) | undefined
  // stream: true holds an unfinished character back, which only a cut is to drop.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  readonly #texts: string[] = []
  #sizeBytes = 0
  #isTruncated = false

  /** @param onText is told each piece as it comes; together they are what {@link end} gives. */
  constructor(maxBytes: number, onText?: (text: string) => void) {
    this.#maxBytes = maxBytes
    this.#onText = onText
  }

  push(chunk: Uint8Array): void {
    const room = this.#maxBytes - this.#sizeBytes
    if (chunk.length > room) this.#isTruncated = true
    if (room === 0) return
    const kept = chunk.subarray(0, room)
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

  #take(text: string): void {
    if (text === '') return
    this.#texts.push(text)
    this.#onText?.(text)
  }
}
