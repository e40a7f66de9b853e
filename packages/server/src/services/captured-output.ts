import type { OutputHold } from './output-budget.ts'

/** Maximum ratio between the JSON of a stream and the stream itself: a NUL is one byte, and six in JSON. */
const maxGrowth = 2

/** Stores the first bytes of a stream, up to a limit, and drops the rest: the writer never blocks. */
export class CapturedOutput {
  readonly #maxBytes: number
  readonly #onText: ((text: string) => void) | undefined
  readonly #hold: OutputHold | undefined
  // With `stream: true` the decoder holds an incomplete character back; only truncation drops it.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  readonly #texts: string[] = []
  #sizeBytes = 0
  /** Bytes that JSON escapes add to the stored bytes. */
  #escapeBytes = 0
  #isTruncated = false

  /**
   * @param onText called with each part as it arrives; together the parts equal the result of {@link end}.
   * @param hold reserves the server's memory for the stream, in addition to `maxBytes`.
   */
  constructor(maxBytes: number, onText?: (text: string) => void, hold?: OutputHold) {
    this.#maxBytes = maxBytes
    this.#onText = onText
    this.#hold = hold
  }

  push(chunk: Uint8Array): void {
    if (this.#isTruncated) return
    const stored = chunk.subarray(0, this.#roomFor(chunk))
    if (stored.length < chunk.length) this.#isTruncated = true
    if (stored.length === 0) return
    this.#sizeBytes += stored.length
    this.#append(this.#decoder.decode(stored, { stream: true }))
  }

  get isTruncated(): boolean {
    return this.#isTruncated
  }

  /** The whole text. Invalid UTF-8 becomes U+FFFD; a character that the limit splits is dropped. */
  end(): string {
    if (!this.#isTruncated) this.#append(this.#decoder.decode())
    return this.#texts.join('')
  }

  /** Number of bytes of the chunk that fit. */
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

  #append(text: string): void {
    if (text === '') return
    this.#texts.push(text)
    this.#onText?.(text)
  }
}

/** Bytes that JSON adds to escape a byte of UTF-8 (RFC 8259, section 7). */
function escapeBytes(byte: number): number {
  if (byte === 0x22 || byte === 0x5c || (byte >= 0x08 && byte <= 0x0d && byte !== 0x0b)) return 1
  return byte < 0x20 ? 5 : 0
}
