import { TheazoServerError } from '../../../errors.ts'

/** Splits a stream of bytes into lines, and bounds the length of each. */
export class BoundedLines {
  readonly #maxBytes: number
  #rest: Buffer = Buffer.alloc(0)

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * The lines that this chunk completes.
   *
   * @throws {TheazoServerError} for a line that is too long; nothing can be read after it.
   */
  push(chunk: Buffer): string[] {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    const lines: string[] = []
    let start = 0
    for (let end = bytes.indexOf('\n'); end >= 0; end = bytes.indexOf('\n', start)) {
      this.#assertShort(end - start)
      lines.push(bytes.toString('utf8', start, end))
      start = end + 1
    }
    this.#assertShort(bytes.length - start)
    this.#rest = bytes.subarray(start)
    return lines
  }

  #assertShort(sizeBytes: number): void {
    if (sizeBytes > this.#maxBytes) throw new TheazoServerError(`A line is longer than ${this.#maxBytes} bytes.`)
  }
}
