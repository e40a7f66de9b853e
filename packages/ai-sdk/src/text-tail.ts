/** The end of a text that arrives in chunks. It holds at most twice its cap. */
export class TextTail {
  readonly #maxChars: number
  #text = ''
  #isCut = false

  /** @param maxChars UTF-16 code units of the tail. */
  constructor(maxChars: number) {
    this.#maxChars = maxChars
  }

  add(chunk: string): void {
    this.#text += chunk
    if (this.#text.length > 2 * this.#maxChars) this.#cut()
  }

  /** True if the text was longer than its cap. */
  get isCut(): boolean {
    return this.#isCut || this.#text.length > this.#maxChars
  }

  get text(): string {
    if (this.#text.length > this.#maxChars) this.#cut()
    return this.#text
  }

  #cut(): void {
    const tail = this.#text.slice(-this.#maxChars)
    // The first unit may be the second half of a surrogate pair.
    this.#text = (tail.charCodeAt(0) & 0xfc00) === 0xdc00 ? tail.slice(1) : tail
    this.#isCut = true
  }
}
