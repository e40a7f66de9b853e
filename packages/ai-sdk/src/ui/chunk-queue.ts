import type { TheazoUIMessageChunk as Chunk } from './ui-message.ts'

/**
 * Sends chunks to a stream. Pieces of text from one batch of events become one chunk, because each chunk costs its
 * consumers more than its bytes do. The chunk is sent in a microtask after the batch: no text waits for later events.
 */
export class ChunkQueue {
  readonly #controller: ReadableStreamDefaultController<Chunk>
  #text: Extract<Chunk, { type: 'text-delta' }> | undefined
  #isClosed = false

  constructor(controller: ReadableStreamDefaultController<Chunk>) {
    this.#controller = controller
  }

  /** @returns the number of chunks that were not merged with an earlier one. */
  add(chunks: readonly Chunk[]): number {
    let count = 0
    for (const chunk of chunks) {
      if (chunk.type === 'text-delta') {
        if (this.#text?.id === chunk.id) {
          this.#text.delta += chunk.delta
          continue
        }
        this.#flush()
        this.#text = chunk
        queueMicrotask(this.#flush) // after the events of the same batch
      } else {
        this.#flush()
        this.#controller.enqueue(chunk)
      }
      count += 1
    }
    return count
  }

  /** Sends what waits, and closes the stream. */
  close(): void {
    this.#flush()
    this.#isClosed = true
    this.#controller.close()
  }

  /** Drops what waits: the consumer has closed the stream. */
  drop(): void {
    this.#text = undefined
    this.#isClosed = true
  }

  readonly #flush = (): void => {
    if (this.#text === undefined || this.#isClosed) return
    this.#controller.enqueue(this.#text)
    this.#text = undefined
  }
}
