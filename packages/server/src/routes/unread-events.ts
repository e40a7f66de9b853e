/** Maximum characters of output in one merged event, for a slow reader. */
const maxMergedChars = 64 * 1024

/** An event that waits for its reader. Its text is encoded when it is read. */
type Unread = { stream: string; text: string } | { pieces: Iterator<string> }

/**
 * Events of a stream that wait for their reader. Waiting output is merged: a program may print one byte at a time, and an
 * object for each byte would need far more memory.
 */
export class UnreadEvents {
  readonly #waiting: Unread[] = []

  addOutput(stream: string, text: string): void {
    const last = this.#waiting.at(-1)
    if (last && 'stream' in last && last.stream === stream && last.text.length + text.length <= maxMergedChars) {
      last.text += text
    } else this.#waiting.push({ stream, text })
  }

  /** @param json the event's data, in parts that are encoded when they are read. */
  add(event: string, json: Iterable<string>): void {
    this.#waiting.push({ pieces: eventPieces(event, json) })
  }

  /** Adds an empty comment, which keeps the connection open. */
  addComment(): void {
    this.#waiting.push({ pieces: [': \n\n'].values() })
  }

  /** The next part of the first event; undefined if no event waits. */
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
