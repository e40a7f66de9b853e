const lineFeed = 0x0a

/** Finds the lines of a UTF-8 text in its bytes. It creates no object per line: there may be millions. */
export class LineIndex {
  readonly #bytes: Uint8Array
  /** The number of lines. The last one may have no line end. */
  readonly count: number

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    let count = 0
    for (const byte of bytes) if (byte === lineFeed) count += 1
    this.count = bytes.length > 0 && bytes.at(-1) !== lineFeed ? count + 1 : count
  }

  /**
   * Reads whole lines with their line ends, as many as fit. It reads at least one line, even if that is longer.
   *
   * @param startLine 1-based.
   * @param maxChars UTF-16 code units.
   * @returns the text and the number of its last line, which is 0 for an empty text.
   */
  read(startLine: number, maxLines: number, maxChars: number): { text: string; endLine: number } {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    let text = ''
    let at = this.#offsetOf(startLine)
    let endLine = at < this.#bytes.length ? startLine : 0
    for (let line = startLine; line < startLine + maxLines && at < this.#bytes.length; line += 1) {
      const feed = this.#bytes.indexOf(lineFeed, at)
      const end = feed === -1 ? this.#bytes.length : feed + 1
      // UTF-8 has at most three bytes per UTF-16 code unit.
      if (text !== '' && text.length + (end - at) / 3 > maxChars) break
      const next = decoder.decode(this.#bytes.subarray(at, end))
      if (text !== '' && text.length + next.length > maxChars) break
      text += next
      endLine = line
      at = end
    }
    return { text, endLine }
  }

  #offsetOf(line: number): number {
    let at = 0
    for (let left = line - 1; left > 0; left -= 1) at = this.#bytes.indexOf(lineFeed, at) + 1
    return at
  }
}
