/** Characters of output that are put into one event for a reader that is behind. */
const maxMergedChars = 64 * 1024

/** One event that is not read yet; its text is made when it is. */
type Unread = { stream: string; text: string } | { pieces: Iterator<string> }

/**
 * Events of a stream that wait for their reader. Output that waits is put together: a program may print a byte at a time,
 * and an object for each would be far larger than what was printed.
 */
export class UnreadEvents {
  readonly #waiting: Unread[] = []

  addOutput(stream: string, text: string): void {
    const last = this.#waiting.at(-1)
    if (last && 'stream' in last && last.stream === stream && last.text.length + text.length <= maxMergedChars) {
      last.text += text
    } else this.#waiting.push({ stream, text })
  }

  /** @param json the event's data, in pieces that are made as they are read. */
  add(event: string, json: Iterable<string>): void {
    this.#waiting.push({ pieces: eventPieces(event, json) })
  }

  /** Keeps the connection open, and says nothing. */
  addComment(): void {
    this.#waiting.push({ pieces: [': \n\n'].values() })
  }

  /** The next piece of the first event that has one; undefined if nothing waits. */
  next(): string | undefined {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      if ('stream' in first) {
        this.#waiting.shift()
        return Array.from(eventPieces(first.stream, [JSON.stringify({ text: first.text })])).join('')
      }
      const { done, value } = first.pieces.next()
      if (!done) return value
      this.#waiting.shift()
    }
    return undefined
  }
}

function* eventPieces(event: string, json: Iterable<string>): Generator<string, void, undefined> {
  yield `event: ${event}\ndata: `
  yield* json
  yield '\n\n'
}
