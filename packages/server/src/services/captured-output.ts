/** Keeps the first bytes of a stream, up to a cap, and lets the rest pass: the writer never stalls on it. */
export class CapturedOutput {
  readonly #maxBytes: number
  readonly #chunks: Uint8Array[] = []
  #sizeBytes = 0
  #isTruncated = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  push(chunk: Uint8Array): void {
    const room = this.#maxBytes - this.#sizeBytes
    if (chunk.length > room) this.#isTruncated = true
    if (room === 0) return
    const kept = chunk.subarray(0, room)
    this.#chunks.push(kept)
    this.#sizeBytes += kept.length
  }

  get isTruncated(): boolean {
    return this.#isTruncated
  }

  /** As UTF-8; bytes that are none become U+FFFD. A character that the cap cut in two is left out. */
  text(): string {
    // stream: true holds an unfinished character back, which only a cut is to drop.
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(this.#chunks), {
      stream: this.#isTruncated,
    })
  }
}
