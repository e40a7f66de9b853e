/** How many items a consumer may be behind. At least as many are retained for a late consumer. */
const windowSize = 256

/** The items of one read of the source. */
type Batch<Item> = readonly Item[]

/**
 * Delivers every item of one source to any number of consumers.
 *
 * The source is pulled for the consumer that is furthest ahead, but not while another one is {@link windowSize} items
 * behind: a slow consumer slows the source. A late consumer starts with the oldest retained batch. Batches are passed on
 * whole, so that there is no cost per item.
 */
export class Broadcast<Item> {
  /** Reads the next batch; undefined at the end of the source. */
  readonly #pull: () => Promise<Batch<Item> | undefined>
  /** Marks the first item of a consumer that joined after items were dropped. */
  readonly #markGap: (item: Item) => Item
  readonly #cursors = new Set<Cursor<Item>>()
  #retained: Batch<Item>[] = []
  #retainedItems = 0
  /** The number of the first retained batch, counted from the start of the source. */
  #first = 0
  #isPulling = false
  #waiting: PromiseWithResolvers<void> | undefined
  #end: { error?: unknown } | undefined

  constructor(pull: () => Promise<Batch<Item> | undefined>, markGap: (item: Item) => Item) {
    this.#pull = pull
    this.#markGap = markGap
  }

  get consumerCount(): number {
    return this.#cursors.size
  }

  subscribe(): Cursor<Item> {
    const cursor: Cursor<Item> = new Cursor(
      this.#first,
      () => this.#next(cursor),
      () => {
        this.#cursors.delete(cursor)
        this.#wake()
      },
    )
    this.#cursors.add(cursor)
    return cursor
  }

  /** Ends the source for all consumers, also for waiting ones. With `error`, their calls reject. */
  end(end: { error?: unknown }): void {
    this.#end ??= end
    this.#wake()
  }

  async #next(cursor: Cursor<Item>): Promise<Batch<Item> | undefined> {
    for (;;) {
      if (cursor.isClosed) return undefined
      const batch = this.#retained[cursor.position - this.#first]
      if (batch) return this.#deliver(cursor, batch)
      if (this.#end) {
        if ('error' in this.#end) throw this.#end.error
        return undefined
      }
      // Waiting consumers wake up for a new batch, for the progress of a slow consumer, for an end and for a close.
      this.#waiting ??= Promise.withResolvers()
      const { promise } = this.#waiting
      if (!this.#isPulling && this.#hasRoom()) void this.#load()
      await promise
    }
  }

  #deliver(cursor: Cursor<Item>, batch: Batch<Item>): Batch<Item> {
    const isLate = cursor.position === cursor.start && cursor.start > 0
    cursor.position += 1
    if (this.#cursors.size > 1) this.#wake() // another consumer may wait for the progress of this one
    return isLate ? batch.map((item, index) => (index === 0 ? this.#markGap(item) : item)) : batch
  }

  async #load(): Promise<void> {
    this.#isPulling = true
    try {
      const batch = await this.#pull()
      if (batch) this.#retain(batch)
      else this.#end ??= {}
    } catch (error) {
      this.#end ??= { error }
    } finally {
      this.#isPulling = false
      this.#wake()
    }
  }

  /** Stores a batch, and drops old batches that no consumer needs and the window does not include. */
  #retain(batch: Batch<Item>): void {
    this.#retained.push(batch)
    this.#retainedItems += batch.length
    const slowest = this.#slowest()
    for (let oldest = this.#retained[0]; oldest && this.#first < slowest; oldest = this.#retained[0]) {
      if (this.#retainedItems - oldest.length < windowSize) return
      this.#retained.shift()
      this.#retainedItems -= oldest.length
      this.#first += 1
    }
  }

  #hasRoom(): boolean {
    let unseen = 0
    for (let at = this.#slowest() - this.#first; at < this.#retained.length; at += 1) {
      unseen += this.#retained[at]?.length ?? 0
    }
    return unseen < windowSize
  }

  /** The position of the consumer that is furthest behind. */
  #slowest(): number {
    let slowest = Number.POSITIVE_INFINITY
    for (const { position } of this.#cursors) slowest = Math.min(slowest, position)
    return slowest
  }

  #wake(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}

/** The position of one consumer. */
export class Cursor<Item> {
  readonly start: number
  /** The number of the consumer's next batch. */
  position: number
  isClosed = false
  readonly #next: () => Promise<Batch<Item> | undefined>
  readonly #leave: () => void

  constructor(start: number, next: () => Promise<Batch<Item> | undefined>, leave: () => void) {
    this.start = start
    this.position = start
    this.#next = next
    this.#leave = leave
  }

  /** Waits for the next batch; undefined at the end. */
  next(): Promise<Batch<Item> | undefined> {
    return this.#next()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#leave()
  }
}
