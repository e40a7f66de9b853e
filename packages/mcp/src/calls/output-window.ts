/**
 * The start and the end of output that arrives in chunks: at most `maxChars` UTF-16 code units. Until they are taken, up
 * to 1.5 times as many are stored.
 */
export class OutputWindow {
  readonly #maxChars: number
  #head = ''
  #tail = ''
  #totalChars = 0

  constructor(maxChars: number) {
    this.#maxChars = maxChars
  }

  add(chunk: string): void {
    this.#totalChars += chunk.length
    const room = Math.max(0, this.#headChars - this.#head.length)
    this.#head += chunk.slice(0, room)
    this.#tail += chunk.slice(room)
    // The tail is cut only if it is twice too long: a cut for every chunk would copy it each time.
    if (this.#tail.length > 2 * this.#tailChars) this.#tail = this.#tail.slice(-this.#tailChars)
  }

  /** The text since the last `take`, with a note of what was cut. The window is empty afterwards. */
  take(): { text: string; isCut: boolean } {
    const tail = this.#tail.slice(-this.#tailChars)
    const [head, totalChars] = [this.#head, this.#totalChars]
    const cutChars = totalChars - head.length - tail.length
    this.#head = ''
    this.#tail = ''
    this.#totalChars = 0
    if (cutChars === 0) return { text: head + tail, isCut: false }
    const note = `\n[… ${cutChars} of ${totalChars} characters cut …]\n`
    return { text: `${head.toWellFormed()}${note}${tail.toWellFormed()}`, isCut: true }
  }

  get #headChars(): number {
    return Math.ceil(this.#maxChars / 2)
  }

  get #tailChars(): number {
    return Math.floor(this.#maxChars / 2)
  }
}
