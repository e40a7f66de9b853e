import type { TheazoUIMessageChunk } from '@theazo/ai-sdk'

const maxChars = 40_000_000

/**
 * The chunks of one message of the assistant. Any number of readers may start at any time, also after its end, so that a
 * reload of the page or a second tab shows the message from its start.
 */
export class AnswerLog {
  readonly #chunks: (TheazoUIMessageChunk | undefined)[] = []
  /** The place of the last preliminary result of each tool call. */
  readonly #preliminary = new Map<string, number>()
  #chars = 0
  #isEnded = false
  #change = Promise.withResolvers<void>()

  /** @param earlier the log of the same message before the user's approval. */
  constructor(earlier?: AnswerLog) {
    if (!earlier) return
    for (const chunk of earlier.#chunks) if (chunk) this.append(chunk)
  }

  /** The position of the next chunk. */
  get end(): number {
    return this.#chunks.length
  }

  /** The message is too large to grow. */
  get isFull(): boolean {
    return this.#chars > maxChars
  }

  append(chunk: TheazoUIMessageChunk): void {
    if (chunk.type === 'tool-output-available') {
      // A result contains the earlier ones of its call. Without them, the log of long code stays small.
      const earlier = this.#preliminary.get(chunk.toolCallId)
      if (earlier !== undefined) this.#remove(earlier)
      if (chunk.preliminary) this.#preliminary.set(chunk.toolCallId, this.#chunks.length)
      else this.#preliminary.delete(chunk.toolCallId)
    }
    this.#chars += sizeOf(chunk)
    this.#chunks.push(chunk)
    this.#wake()
  }

  /** Ends the streams of all readers after their last chunk. */
  close(): void {
    this.#isEnded = true
    this.#wake()
  }

  /** Reads from a position on. A slow reader delays nobody, and needs no queue. */
  read(from = 0): ReadableStream<TheazoUIMessageChunk> {
    let position = from
    const pull = async (controller: ReadableStreamDefaultController<TheazoUIMessageChunk>): Promise<void> => {
      for (;;) {
        while (position < this.#chunks.length) {
          const chunk = this.#chunks[position++]
          if (chunk) return controller.enqueue(chunk)
        }
        if (this.#isEnded) return controller.close()
        await this.#change.promise
      }
    }
    return new ReadableStream({ pull }, { highWaterMark: 0 })
  }

  #remove(position: number): void {
    const chunk = this.#chunks[position]
    if (chunk) this.#chars -= sizeOf(chunk)
    this.#chunks[position] = undefined
  }

  #wake(): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }
}

function sizeOf(chunk: TheazoUIMessageChunk): number {
  return JSON.stringify(chunk).length
}
